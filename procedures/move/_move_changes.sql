-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _move_changes: the oldest entries of the journal of a slot, into move_entry, and what their keys
-- name now, table by table, into move_part.
--
-- in_slot   the slot
-- in_limit  at most so many entries
--
-- Of a slot that an owner leaves for one of his own only what is his is read; the other entries
-- are in move_entry all the same, and go unread.
--
-- The rows are read after the entries, so that they are at least as new. Both are read without
-- locks, and again if an answer is lost: nothing changes until move_drained.
--
-- Touches : SELECT slot_move, slot_log (by slot), owner tables (by key); move_key, move_entry,
--           move_change, move_part
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
    DECLARE v_rows  LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
    DECLARE v_count INT;
    DECLARE v_owner BIGINT UNSIGNED;

    CALL _move_tables();

    SET SESSION group_concat_max_len = 67108864;

    DELETE FROM move_entry;

    DELETE FROM move_change;

    DELETE FROM move_part;

    SELECT COALESCE(MAX(m.owner_id), 0)
      INTO v_owner
      FROM slot_move AS m
     WHERE m.active = in_slot
       AND m.kind = 'promote';

    INSERT INTO move_entry (id, tbl, k1, k2, k3, ks)
    SELECT l.id,
           IF(v_owner IN (0, l.owner), l.tbl, ''),
           l.k1,
           l.k2,
           l.k3,
           l.ks
      FROM slot_log AS l FORCE INDEX (drain)
     WHERE l.slot = in_slot
     ORDER BY l.id
     LIMIT in_limit;

    INSERT INTO move_change (tbl, k1, k2, k3, ks)
    SELECT DISTINCT
           e.tbl,
           e.k1,
           e.k2,
           e.k3,
           e.ks
      FROM move_entry AS e
     WHERE e.tbl <> '';

    -- A text that is bounded: what GROUP_CONCAT collects is kept in a file otherwise, which takes
    -- longer than all the rest.
    INSERT INTO move_part (tbl, key_text, row_text)
    SELECT c.tbl,
           GROUP_CONCAT(LEFT(JSON_ARRAY(c.k1, c.k2, c.k3, HEX(c.ks)), 400) ORDER BY c.n),
           ''
      FROM move_change AS c
     GROUP BY c.tbl;

    REPEAT
        SELECT MIN(p.tbl)
          INTO v_tbl
          FROM move_part AS p
         WHERE p.tbl > v_tbl;

        IF v_tbl IS NOT NULL THEN
            DELETE FROM move_key;

            INSERT INTO move_key (k1, k2, k3, ks)
            SELECT c.k1,
                   c.k2,
                   c.k3,
                   c.ks
              FROM move_change AS c
             WHERE c.tbl = v_tbl
             ORDER BY c.n;

            CALL _move_expand(in_slot, v_tbl);

            CALL _move_pick(in_slot, v_tbl, v_count, v_rows);

            UPDATE move_part AS p
               SET p.row_text = COALESCE(v_rows, '')
             WHERE p.tbl = v_tbl;
        END IF;
    UNTIL v_tbl IS NULL END REPEAT;
END$$

DELIMITER ;
