-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _move_answer: the oldest entries of the journal of a slot, into move_entry, and an answer for
-- each table with the rows that they name.
--
-- in_slot   the slot
-- in_limit  at most so many entries
--
-- The rows are read after the entries, so that they are at least as new. Both are read without
-- locks, and again if an answer is lost: nothing changes until move_drained. No table and no text
-- collects the rows: MariaDB would make a file for it each time, which takes longer than all the
-- rest.
--
-- Answer  : for each table: as _move_changed
-- Touches : SELECT slot_move, slot_log (by slot), owner tables (by key); move_key, move_entry,
--           move_change
-- Errors  : none
-- Replays : reads only

DROP PROCEDURE IF EXISTS _move_answer;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _move_answer (
    IN in_slot  INT UNSIGNED,
    IN in_limit INT
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: rows that the journal names'
BEGIN
    DECLARE v_tbl VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin DEFAULT '';

    CALL _move_changes(in_slot, in_limit);

    REPEAT
        CALL _move_changes_of(in_slot, v_tbl, v_tbl);

        IF v_tbl IS NOT NULL THEN
            CALL _move_changed(in_slot, v_tbl);
        END IF;
    UNTIL v_tbl IS NULL END REPEAT;
END$$

DELIMITER ;
