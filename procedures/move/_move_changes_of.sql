-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _move_changes_of: the keys of the next table in move_change, into move_key.
--
-- in_slot   the slot
-- in_after  the table before; empty: none yet
-- out_tbl   this one; NULL: there is no other
--
-- Touches : SELECT move_change; move_key; what _move_expand touches
-- Errors  : none
-- Replays : the same keys again

DROP PROCEDURE IF EXISTS _move_changes_of;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _move_changes_of (
    IN  in_slot  INT UNSIGNED,
    IN  in_after VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin,
    OUT out_tbl  VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: keys of the next table that changed'
BEGIN
    SELECT MIN(c.tbl)
      INTO out_tbl
      FROM move_change AS c
     WHERE c.tbl > in_after;

    IF out_tbl IS NOT NULL THEN
        DELETE FROM move_key;

        INSERT INTO move_key (k1, k2, k3, ks)
        SELECT c.k1,
               c.k2,
               c.k3,
               c.ks
          FROM move_change AS c
         WHERE c.tbl = out_tbl
         ORDER BY c.n;

        CALL _move_expand(in_slot, out_tbl);
    END IF;
END$$

DELIMITER ;
