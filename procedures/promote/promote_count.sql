-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- promote_count: how many rows of a table leave a slot with a user.
--
-- in_slot   the slot
-- in_tbl    the table
-- in_owner  the user
--
-- Answer  : row_count
-- Touches : SELECT the table (by slot), video (by slot and author)
-- Errors  : 1339 (case not found) there is no such table
-- Replays : reads only

DROP PROCEDURE IF EXISTS promote_count;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE promote_count (
    IN in_slot  INT UNSIGNED,
    IN in_tbl   VARCHAR(16),
    IN in_owner BIGINT UNSIGNED
)
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v1: rows of a user in a slot'
BEGIN
    DECLARE v_count BIGINT;

    CALL _move_owned(in_slot, in_tbl, in_owner, v_count);

    SELECT v_count AS row_count;
END$$

DELIMITER ;
