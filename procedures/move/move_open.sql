-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- move_open: from now on every write of the slot is journaled; on the shard that gives it.
--
-- in_slot   the slot
-- in_token  of the mover
--
-- The exclusive lock waits for the writes that have passed the fence, and later ones wait for it:
-- callers end this after some ms and try again. A journal that is being written already goes on
-- (the way back after a flip); any other begins empty.
--
-- Answer  : epoch
-- Touches : SELECT, UPDATE slot_fence (by slot, FOR UPDATE); DELETE slot_log, slot_lost (by slot);
--           slot_gen
-- Errors  : 45409 the slot is not served here, or another mover moves it
-- Replays : the same

DROP PROCEDURE IF EXISTS move_open;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE move_open (
    IN in_slot  INT UNSIGNED,
    IN in_token VARCHAR(32)
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: begin to journal'
BEGIN
    DECLARE v_epoch   BIGINT UNSIGNED;
    DECLARE v_state   VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin;
    DECLARE v_journal TINYINT;
    DECLARE v_good    TINYINT;
    DECLARE v_text    VARCHAR(128);

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    SELECT MAX(f.epoch),
           MAX(f.state),
           MAX(f.journal),
           MAX(f.answer = 'ok'
               AND (f.state = 'owned' AND f.journal = 0
                    OR COALESCE(f.token = UNHEX(in_token), 0)))
      INTO v_epoch,
           v_state,
           v_journal,
           v_good
      FROM slot_fence AS f
     WHERE f.slot = in_slot
       FOR UPDATE;

    IF v_state = 'owned' AND v_journal = 0 THEN
        SELECT COUNT(*)
          INTO v_good
          FROM slot_move AS m
         WHERE m.active = in_slot
           AND m.token = UNHEX(in_token)
           AND m.epoch > v_epoch
           AND v_good
          LOCK IN SHARE MODE;
    END IF;

    IF NOT COALESCE(v_good, 0) THEN
        SET v_text = CONCAT('fenced out: slot ', in_slot, ' is not this mover\'s to give');
        SIGNAL SQLSTATE '45409' SET MESSAGE_TEXT = v_text;
    END IF;

    IF v_state <> 'migrating' THEN
        IF v_journal = 0 THEN
            DELETE
              FROM slot_log
             WHERE slot = in_slot;

            DELETE
              FROM slot_lost
             WHERE slot = in_slot;
        END IF;

        UPDATE slot_fence AS f
           SET f.state      = 'migrating',
               f.token      = UNHEX(in_token),
               f.journal    = 0,
               f.changed_at = _now_ms()
         WHERE f.slot = in_slot;

        CALL _slot_changed();
    END IF;

    COMMIT;

    SELECT v_epoch AS epoch;
END$$

DELIMITER ;
