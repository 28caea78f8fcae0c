-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- move_count: how many rows of a table a slot has here.
--
-- in_slot  the slot
-- in_tbl   the table
--
-- Answer  : row_count
-- Touches : SELECT the table (by slot)
-- Errors  : 1339 (case not found) there is no such table
-- Replays : reads only

DROP PROCEDURE IF EXISTS move_count;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE move_count (
    IN in_slot INT UNSIGNED,
    IN in_tbl  VARCHAR(16)
)
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v1: rows of a slot'
BEGIN
    DECLARE v_count BIGINT;

    CALL _move_count(in_slot, in_tbl, v_count);

    SELECT v_count AS row_count;
END$$

DELIMITER ;
