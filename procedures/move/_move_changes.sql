-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _move_changes: the oldest entries of the journal of a slot, into move_done, and what their keys
-- name now, table by table, into move_part.
--
-- in_slot   the slot
-- in_limit  at most so many entries
--
-- Of a slot that an owner leaves for one of his own only what is his is read; the other entries
-- are in move_done all the same, and go unread.
--
-- The rows are read after the entries, so that they are at least as new. Both are read without
-- locks, and again if an answer is lost: nothing changes until move_drained.
--
-- Touches : SELECT slot_move, slot_log (by slot), owner tables (by key); move_key, move_done,
--           move_part
-- Errors  : none
-- Replays : reads only

DROP PROCEDURE IF EXISTS _move_changes;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _move_changes (
    IN in_slot  INT UNSIGNED,
    IN in_limit INT
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: rows that the journal names'
BEGIN
    DECLARE v_tbl   VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin DEFAULT '';
    DECLARE v_keys  LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
    DECLARE v_rows  LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
    DECLARE v_count INT;
    DECLARE v_owner BIGINT UNSIGNED;

    CALL _move_tables();

    SET SESSION group_concat_max_len = 67108864;

    DELETE FROM move_done;

    DELETE FROM move_part;

    INSERT INTO move_done (id)
    SELECT l.id
      FROM slot_log AS l FORCE INDEX (drain)
     WHERE l.slot = in_slot
     ORDER BY l.id
     LIMIT in_limit;

    SELECT COALESCE(MAX(m.owner_id), 0)
      INTO v_owner
      FROM slot_move AS m
     WHERE m.active = in_slot
       AND m.kind = 'promote';

    REPEAT
        SELECT MIN(l.tbl)
          INTO v_tbl
          FROM move_done AS d
         STRAIGHT_JOIN slot_log AS l FORCE INDEX (PRIMARY)
            ON l.id = d.id
         WHERE l.tbl > v_tbl
           AND v_owner IN (0, l.owner);

        IF v_tbl IS NOT NULL THEN
            DELETE FROM move_key;

            INSERT INTO move_key (k1, k2, k3, ks)
            SELECT DISTINCT
                   l.k1,
                   l.k2,
                   l.k3,
                   l.ks
              FROM move_done AS d
             STRAIGHT_JOIN slot_log AS l FORCE INDEX (PRIMARY)
                ON l.id = d.id
             WHERE l.tbl = v_tbl
               AND v_owner IN (0, l.owner);

            SELECT GROUP_CONCAT(JSON_ARRAY(k.k1, k.k2, k.k3, HEX(k.ks)) ORDER BY k.n)
              INTO v_keys
              FROM move_key AS k;

            CALL _move_expand(in_slot, v_tbl);

            CALL _move_pick(in_slot, v_tbl, v_count, v_rows);

            INSERT INTO move_part (tbl, key_text, row_text)
            VALUES (v_tbl, v_keys, COALESCE(v_rows, ''));
        END IF;
    UNTIL v_tbl IS NULL END REPEAT;
END$$

DELIMITER ;
