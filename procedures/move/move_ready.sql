-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- move_ready: the last changes, and the slot is ready to be taken; on the shard that takes it.
--
-- in_slot      the slot
-- in_token     of the mover
-- in_batch     as in _move_apply
-- in_seq_last  slot_seq of the giver; 0: no id was ever minted; own slots have no mint
-- in_own_last  of the giver's slot_seq
-- in_has_home  of the giver's fence
-- in_journal   1: what is written here after the flip is journaled, so that it can be rolled back
--
-- It is served from slot_takeover on, which needs this epoch and this token.
--
-- Answer  : epoch
-- Touches : SELECT, UPDATE slot_fence (by slot, FOR UPDATE); DELETE, REPLACE owner tables (by key);
--           INSERT, UPDATE slot_seq (by slot); DELETE slot_log (by slot); slot_gen
-- Errors  : 45409 another mover has taken over   45503 what was written reads otherwise
-- Replays : 45409 from the second time on, since it is not importing any more

DROP PROCEDURE IF EXISTS move_ready;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE move_ready (
    IN in_slot     INT UNSIGNED,
    IN in_token    VARCHAR(32),
    IN in_batch    LONGTEXT,
    IN in_seq_last BIGINT,
    IN in_own_last INT UNSIGNED,
    IN in_has_home TINYINT,
    IN in_journal  TINYINT
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: a slot is ready to be taken'
BEGIN
    DECLARE v_epoch BIGINT UNSIGNED;

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    SELECT MAX(IF(f.token = UNHEX(in_token) AND f.state = 'importing', f.epoch, NULL))
      INTO v_epoch
      FROM slot_fence AS f
     WHERE f.slot = in_slot
       FOR UPDATE;

    IF v_epoch IS NULL THEN
        SIGNAL SQLSTATE '45409' SET MESSAGE_TEXT = 'fenced out: another mover has taken the slot';
    END IF;

    CALL _move_apply(in_slot, in_batch);

    IF in_seq_last > 0 OR in_slot < 1024 THEN
        INSERT INTO slot_seq (slot, last, own_last)
        VALUES (in_slot, in_seq_last, in_own_last)
            ON DUPLICATE KEY UPDATE
               last     = GREATEST(slot_seq.last, VALUES(last)),
               own_last = GREATEST(slot_seq.own_last, VALUES(own_last));
    END IF;

    DELETE
      FROM slot_log
     WHERE slot = in_slot;

    DELETE
      FROM slot_lost
     WHERE slot = in_slot;

    UPDATE slot_fence AS f
       SET f.state      = 'ready',
           f.has_home   = in_has_home,
           f.journal    = in_journal,
           f.changed_at = _now_ms()
     WHERE f.slot = in_slot;

    CALL _slot_changed();

    COMMIT;

    SELECT v_epoch AS epoch;
END$$

DELIMITER ;
