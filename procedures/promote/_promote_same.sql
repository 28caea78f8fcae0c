-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _promote_same: are rows the same in two slots?
--
-- in_from  one slot
-- in_to    the other
-- in_keys  JSON array; an entry per table: {"t": table, "k": keys as _move_keys takes them}
--
-- Touches : SELECT owner tables (by key); move_key, move_prefix
-- Errors  : 45503 they are not
-- Replays : reads only

DROP PROCEDURE IF EXISTS _promote_same;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _promote_same (
    IN in_from INT UNSIGNED,
    IN in_to   INT UNSIGNED,
    IN in_keys LONGTEXT
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: are rows the same in two slots'
BEGIN
    DECLARE v_i     INT DEFAULT 0;
    DECLARE v_tbl   VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin;
    DECLARE v_keys  LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
    DECLARE v_ours  LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
    DECLARE v_theirs LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
    DECLARE v_count INT;
    DECLARE v_text  VARCHAR(128);

    WHILE v_i < JSON_LENGTH(in_keys) DO
        SET v_tbl  = JSON_VALUE(in_keys, CONCAT('$[', v_i, '].t'));
        SET v_keys = JSON_EXTRACT(in_keys, CONCAT('$[', v_i, '].k'));

        DELETE FROM move_key;

        CALL _move_keys(v_keys);

        CALL _move_pick(in_from, v_tbl, v_count, v_ours);

        CALL _move_pick(in_to, v_tbl, v_count, v_theirs);

        IF NOT (v_ours <=> v_theirs) THEN
            SET v_text = CONCAT('rows of ', v_tbl, ' differ in slots ', in_from, ' and ', in_to);
            SIGNAL SQLSTATE '45503' SET MESSAGE_TEXT = v_text;
        END IF;

        SET v_i = v_i + 1;
    END WHILE;
END$$

DELIMITER ;
