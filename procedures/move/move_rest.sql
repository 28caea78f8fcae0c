-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- move_rest: what is left to carry over, between move_lock and move_give on the same connection.
--
-- in_slot   the slot
-- in_limit  at most so many entries of the journal are answered, 1 to 20000
--
-- Each table that changed has an answer of its own before the last one, as _move_changed makes it.
--
-- Answer  : entries, waiting (1: there are more; unlock and drain)
-- Touches : SELECT slot_log (by slot), owner tables (by key)
-- Errors  : 45400 the limit is out of range
-- Replays : reads only

DROP PROCEDURE IF EXISTS move_rest;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE move_rest (
    IN in_slot  INT UNSIGNED,
    IN in_limit INT
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: what a flip has to carry over'
BEGIN
    DECLARE v_left INT;

    IF NOT COALESCE(in_limit BETWEEN 1 AND 20000, FALSE) THEN
        SIGNAL SQLSTATE '45400' SET MESSAGE_TEXT = 'move_rest needs a limit of 1 to 20000';
    END IF;

    CALL _move_answer(in_slot, in_limit);

    SELECT COUNT(*)
      INTO v_left
      FROM (SELECT l.id
              FROM slot_log AS l FORCE INDEX (drain)
             WHERE l.slot = in_slot
             ORDER BY l.id
             LIMIT in_limit, 1) AS t;

    SELECT COUNT(e.id) AS entries,
           v_left AS waiting
      FROM move_entry AS e;
END$$

DELIMITER ;
