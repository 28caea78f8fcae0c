-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- move_close: the time is over in which a flip can be rolled back; on the shard that has the
-- slot now.
--
-- in_slot   the slot
-- in_token  of the mover
--
-- Answer  : slot
-- Touches : SELECT, UPDATE slot_fence (by slot, FOR UPDATE); slot_gen
-- Errors  : 45409 another mover has taken over
-- Replays : changes nothing more, while nobody else has the slot move

DROP PROCEDURE IF EXISTS move_close;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE move_close (
    IN in_slot  INT UNSIGNED,
    IN in_token VARCHAR(32)
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: a move is final'
BEGIN
    DECLARE v_good TINYINT;

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    SELECT MAX(f.state = 'owned'
               AND (f.token = UNHEX(in_token) OR (f.token IS NULL AND f.journal = 0)))
      INTO v_good
      FROM slot_fence AS f
     WHERE f.slot = in_slot
       FOR UPDATE;

    IF NOT COALESCE(v_good, 0) THEN
        SIGNAL SQLSTATE '45409' SET MESSAGE_TEXT = 'fenced out: another mover has taken the slot';
    END IF;

    UPDATE slot_fence AS f
       SET f.journal    = 0,
           f.token      = NULL,
           f.changed_at = _now_ms()
     WHERE f.slot = in_slot;

    CALL _slot_changed();

    COMMIT;

    SELECT in_slot AS slot;
END$$

DELIMITER ;
