-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _purge_log: journal the rows that are about to be purged, where their slots are moving.
--
-- in_kind  their table
--
-- A video moves with its author; keys of requests have no owner.
--
-- Touches : SELECT video (by slot and video_id); SELECT purge_row; INSERT slot_log
-- Errors  : none
-- Replays : a key that is journaled twice is copied twice

DROP PROCEDURE IF EXISTS _purge_log;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _purge_log (
    IN in_kind VARCHAR(16)
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: journal what is purged'
BEGIN
    INSERT INTO slot_log (slot, tbl, owner, k1, k2, k3, ks)
    SELECT p.slot,
           in_kind,
           COALESCE(v.author_id, p.k1),
           NULLIF(p.k1, 0),
           NULLIF(p.k2, 0),
           NULLIF(p.k3, 0),
           NULLIF(p.ks, '')
      FROM purge_row AS p
      LEFT JOIN video AS v FORCE INDEX (PRIMARY)
        ON v.slot = IF(in_kind = 'liker', p.slot, NULL)
       AND v.video_id = p.k1
     WHERE p.old = 1
       AND p.moving = 1;
END$$

DELIMITER ;
