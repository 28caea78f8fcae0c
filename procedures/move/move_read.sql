-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- move_read: rows of one table of a slot, in the order of the key, or their sum.
--
-- in_slot   the slot
-- in_token  of the mover
-- in_tbl    the table
-- in_owner  0; or a user: only what leaves with him
-- in_after  key to begin behind, as this answers it; empty: at the begin
-- in_upto   last key; empty: none
-- in_limit  at most so many rows, 1 to 100000
-- in_sum    1: their sum only; 0: the rows
--
-- Answer  : row_count, last_key ([k1, k2, k3, hex]; empty: there are none), row_text (JSON array;
--           see _move_pick), row_sum (MD5 of the rows)
-- Touches : SELECT slot_fence, slot_move (by slot), the table (by slot)
-- Errors  : 45400 an argument is malformed   45409 another mover has taken over
-- Replays : reads only

DROP PROCEDURE IF EXISTS move_read;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE move_read (
    IN in_slot  INT UNSIGNED,
    IN in_token VARCHAR(32),
    IN in_tbl   VARCHAR(16),
    IN in_owner BIGINT UNSIGNED,
    IN in_after VARCHAR(512),
    IN in_upto  VARCHAR(512),
    IN in_limit INT,
    IN in_sum   TINYINT
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: rows of a slot'
BEGIN
    DECLARE v_good  TINYINT;
    DECLARE v_last  VARCHAR(512) CHARACTER SET ascii COLLATE ascii_bin DEFAULT '';
    DECLARE v_count INT;
    DECLARE v_rows  LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

    IF NOT COALESCE(in_limit BETWEEN 1 AND 100000, FALSE) THEN
        SIGNAL SQLSTATE '45400' SET MESSAGE_TEXT = 'move_read needs a limit of 1 to 100000';
    END IF;

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

    CALL _move_find(in_slot, in_tbl, in_owner, NULLIF(in_after, ''), NULLIF(in_upto, ''), in_limit);

    SELECT JSON_ARRAY(k.k1, k.k2, k.k3, HEX(k.ks))
      INTO v_last
      FROM move_key AS k
     ORDER BY k.n DESC
     LIMIT 1;

    CALL _move_pick(in_slot, in_tbl, v_count, v_rows);

    SELECT v_count AS row_count,
           v_last AS last_key,
           IF(in_sum, '', CONCAT('[', COALESCE(v_rows, ''), ']')) AS row_text,
           IF(in_sum, COALESCE(MD5(v_rows), ''), '') AS row_sum;
END$$

DELIMITER ;
