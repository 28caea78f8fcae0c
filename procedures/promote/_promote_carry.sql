-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _promote_carry: make the rows that the journal of a slot names the same in another slot of this
-- shard.
--
-- in_from   the slot that is left
-- in_to     the other one
-- in_limit  at most so many entries of the journal
--
-- Touches : SELECT slot_move, slot_log (by slot); SELECT, DELETE, REPLACE owner tables (by key);
--           move_key, move_prefix, move_entry, move_change
-- Errors  : 45503 what was written reads otherwise
-- Replays : the same rows

DROP PROCEDURE IF EXISTS _promote_carry;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _promote_carry (
    IN in_from  INT UNSIGNED,
    IN in_to    INT UNSIGNED,
    IN in_limit INT
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: carry over what the journal names'
BEGIN
    DECLARE v_tbl   VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin DEFAULT '';
    DECLARE v_rows  LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
    DECLARE v_back  LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
    DECLARE v_count INT;
    DECLARE v_text  VARCHAR(128);

    SET SESSION group_concat_max_len = 67108864;

    CALL _move_changes(in_from, in_limit);

    REPEAT
        CALL _move_changes_of(in_from, v_tbl, v_tbl);

        IF v_tbl IS NOT NULL THEN
            -- The begin of a key may mean rows there that are not here any more.
            CALL _move_expand(in_to, v_tbl);

            CALL _move_pick(in_from, v_tbl, v_count, v_rows);

            CALL _move_drop(in_to, v_tbl);

            IF v_rows IS NOT NULL THEN
                CALL _move_put(in_to, v_tbl, CONCAT('[', v_rows, ']'));
            END IF;

            CALL _move_pick(in_to, v_tbl, v_count, v_back);

            IF NOT v_back <=> v_rows THEN
                SET v_text = CONCAT('rows of ', v_tbl, ' are not what was written');
                SIGNAL SQLSTATE '45503' SET MESSAGE_TEXT = v_text;
            END IF;
        END IF;
    UNTIL v_tbl IS NULL END REPEAT;
END$$

DELIMITER ;
