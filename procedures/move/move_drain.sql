-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- move_drain: what has changed in a slot: the oldest entries of its journal, and the rows they
-- name.
--
-- in_slot   the slot
-- in_token  of the mover
-- in_limit  at most so many entries, 1 to 20000
--
-- The entries stay until move_drained, on the same connection. Each table that changed has an
-- answer of its own before the last one, as _move_changed makes it.
--
-- Answer  : entries (how many were read), is_lost (1: the journal was not kept: begin anew)
-- Touches : SELECT slot_fence (by slot); SELECT slot_log (by slot), owner tables (by key)
-- Errors  : 45400 the limit is out of range   45409 another mover has taken over
-- Replays : reads only

DROP PROCEDURE IF EXISTS move_drain;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE move_drain (
    IN in_slot  INT UNSIGNED,
    IN in_token VARCHAR(32),
    IN in_limit INT
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: what has changed in a slot'
BEGIN
    DECLARE v_good TINYINT;

    IF NOT COALESCE(in_limit BETWEEN 1 AND 20000, FALSE) THEN
        SIGNAL SQLSTATE '45400' SET MESSAGE_TEXT = 'move_drain needs a limit of 1 to 20000';
    END IF;

    SELECT MAX(f.token = UNHEX(in_token) AND f.state IN ('owned', 'migrating'))
      INTO v_good
      FROM slot_fence AS f
     WHERE f.slot = in_slot;

    IF NOT COALESCE(v_good, 0) THEN
        SIGNAL SQLSTATE '45409' SET MESSAGE_TEXT = 'fenced out: another mover has taken the slot';
    END IF;

    CALL _move_answer(in_slot, in_limit);

    SELECT COUNT(e.id) AS entries,
           EXISTS (SELECT 1
                     FROM slot_lost AS x
                    WHERE x.slot = in_slot) AS is_lost
      FROM move_entry AS e;
END$$

DELIMITER ;
