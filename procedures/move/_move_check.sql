-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _move_check: may this mover do something to this slot here? If so, it stays so until the end of
-- the transaction.
--
-- in_slot    the slot
-- in_token   of the mover, 32 hex digits
-- in_states  states of the fence in which it may, with commas between
--
-- Every routine that a mover writes with calls this first in its transaction: a mover that was
-- paused, and another one took over, finds another token.
--
-- Touches : SELECT slot_fence (by slot, LOCK IN SHARE MODE)
-- Errors  : 45409 another mover has taken over, or the fence is not in one of these states
-- Replays : nothing stays

DROP PROCEDURE IF EXISTS _move_check;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _move_check (
    IN in_slot   INT UNSIGNED,
    IN in_token  VARCHAR(32),
    IN in_states VARCHAR(64)
)
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v1: is this mover the one'
BEGIN
    DECLARE v_good TINYINT;
    DECLARE v_text VARCHAR(128);

    SELECT MAX(f.token = UNHEX(in_token) AND FIND_IN_SET(f.state, in_states) > 0)
      INTO v_good
      FROM slot_fence AS f
     WHERE f.slot = in_slot
      LOCK IN SHARE MODE;

    IF NOT COALESCE(v_good, 0) THEN
        SET v_text = CONCAT('fenced out: slot ', in_slot, ' is not ', in_states, ' for this mover');
        SIGNAL SQLSTATE '45409' SET MESSAGE_TEXT = v_text;
    END IF;
END$$

DELIMITER ;
