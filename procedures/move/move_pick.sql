-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- move_pick: the rows that keys of one table name, or their sum.
--
-- in_slot   the slot
-- in_token  of the mover
-- in_tbl    the table
-- in_keys   JSON array of keys, each [k1, k2, k3, hex of ks]; at most 100000
-- in_sum    1: their sum only; 0: the rows
--
-- Answer  : row_count, row_text, row_sum (MD5 of the rows)
-- Touches : SELECT slot_fence, slot_move (by slot), the table (by key)
-- Errors  : 45409 another mover has taken over
-- Replays : reads only

DROP PROCEDURE IF EXISTS move_pick;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE move_pick (
    IN in_slot  INT UNSIGNED,
    IN in_token VARCHAR(32),
    IN in_tbl   VARCHAR(16),
    IN in_keys  LONGTEXT,
    IN in_sum   TINYINT
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: rows that keys name'
BEGIN
    DECLARE v_good  TINYINT;
    DECLARE v_count INT;
    DECLARE v_rows  LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

    SET SESSION group_concat_max_len = 67108864;

    SELECT MAX(f.token = UNHEX(in_token))
      INTO v_good
      FROM slot_fence AS f
     WHERE f.slot = in_slot;

    IF NOT COALESCE(v_good, 0) AND NOT _move_other_side(in_slot, in_token) THEN
        SIGNAL SQLSTATE '45409' SET MESSAGE_TEXT = 'fenced out: another mover has taken the slot';
    END IF;

    CALL _move_tables();

    DELETE FROM move_key;

    CALL _move_keys(in_keys);

    CALL _move_expand(in_slot, in_tbl);

    CALL _move_pick(in_slot, in_tbl, v_count, v_rows);

    SELECT v_count AS row_count,
           IF(in_sum, '', CONCAT('[', COALESCE(v_rows, ''), ']')) AS row_text,
           IF(in_sum, COALESCE(MD5(v_rows), ''), '') AS row_sum;
END$$

DELIMITER ;
