-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _move_apply: make the rows of a slot what a batch says.
--
-- in_slot   the slot
-- in_batch  JSON array; an entry per table: {"t": table, "k": keys, "r": rows}: keys of which there
--           is no row, or the begin of one, as in move_key; rows as _move_same takes them; what the
--           keys mean is removed first, then the rows are put
--
-- Touches : DELETE, REPLACE owner tables (by key); move_key
-- Errors  : 45503 what was written reads otherwise
-- Replays : the same rows

DROP PROCEDURE IF EXISTS _move_apply;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _move_apply (
    IN in_slot  INT UNSIGNED,
    IN in_batch LONGTEXT
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: make rows what they are at the giver'
BEGIN
    DECLARE v_i    INT DEFAULT 0;
    DECLARE v_n    INT DEFAULT JSON_LENGTH(in_batch);
    DECLARE v_tbl  VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin;
    DECLARE v_keys LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
    DECLARE v_rows LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
    DECLARE v_bad  INT;
    DECLARE v_text VARCHAR(128);

    CALL _move_tables();

    WHILE v_i < v_n DO
        SET v_tbl  = JSON_VALUE(in_batch, CONCAT('$[', v_i, '].t'));
        SET v_keys = JSON_EXTRACT(in_batch, CONCAT('$[', v_i, '].k'));
        SET v_rows = JSON_EXTRACT(in_batch, CONCAT('$[', v_i, '].r'));

        IF v_keys <> '[]' THEN
            DELETE FROM move_key;

            CALL _move_keys(v_keys);

            CALL _move_expand(in_slot, v_tbl);

            CALL _move_drop(in_slot, v_tbl);
        END IF;

        -- What was written is read back at once: the sums of chunks were taken before.
        IF v_rows <> '[]' THEN
            CALL _move_put(in_slot, v_tbl, v_rows);

            CALL _move_same(in_slot, v_tbl, v_rows, v_bad);

            IF v_bad > 0 THEN
                SET v_text = CONCAT('rows of ', v_tbl, ' are not what was written');
                SIGNAL SQLSTATE '45503' SET MESSAGE_TEXT = v_text;
            END IF;
        END IF;

        SET v_i = v_i + 1;
    END WHILE;
END$$

DELIMITER ;
