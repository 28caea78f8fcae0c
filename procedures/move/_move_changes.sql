-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _move_changes: the oldest entries of the journal of a slot, into move_entry, and the keys that
-- they name, each once, into move_change.
--
-- in_slot   the slot
-- in_limit  at most so many entries
--
-- Of a slot that an owner leaves for one of his own only what is his is read; the other entries
-- are in move_entry all the same, and go unread.
--
-- Touches : SELECT slot_move, slot_log (by slot); move_entry, move_change
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
    COMMENT 'v1: keys that the journal names'
BEGIN
    DECLARE v_owner BIGINT UNSIGNED;

    CALL _move_tables();

    DELETE FROM move_entry;

    DELETE FROM move_change;

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
END$$

DELIMITER ;
