-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- move_forget: nothing is left of a slot that was to arrive here.
--
-- in_slot   the slot
-- in_token  of the mover
-- in_to_epoch  at which the slot goes on where it was (move_cancel)
-- in_giver  that shard
--
-- Answer  : slot
-- Touches : SELECT, UPDATE slot_fence (by slot, FOR UPDATE); DELETE slot_seq (by slot); slot_gen
-- Errors  : 45409 another mover has taken over
-- Replays : 45409 from the second time on: it is not importing

DROP PROCEDURE IF EXISTS move_forget;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE move_forget (
    IN in_slot     INT UNSIGNED,
    IN in_token    VARCHAR(32),
    IN in_to_epoch BIGINT UNSIGNED,
    IN in_giver    VARCHAR(32)
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: nothing is left of an arriving slot'
BEGIN
    DECLARE v_good TINYINT;

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    SELECT MAX(f.token = UNHEX(in_token) AND f.state = 'importing')
      INTO v_good
      FROM slot_fence AS f
     WHERE f.slot = in_slot
       FOR UPDATE;

    IF NOT COALESCE(v_good, 0) THEN
        SIGNAL SQLSTATE '45409' SET MESSAGE_TEXT = 'fenced out: another mover has taken the slot';
    END IF;

    UPDATE slot_fence AS f
       SET f.state      = 'moved',
           f.epoch      = GREATEST(f.epoch, in_to_epoch),
           f.server     = in_giver,
           f.token      = NULL,
           f.has_home   = 0,
           f.changed_at = _now_ms()
     WHERE f.slot = in_slot;

    DELETE
      FROM slot_seq
     WHERE slot = in_slot;

    CALL _slot_changed();

    COMMIT;

    SELECT in_slot AS slot;
END$$

DELIMITER ;
