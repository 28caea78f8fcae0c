-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- purge_status: what is purged on this shard, how far that is, and what it removed.
--
-- looked and removed belong to the running pass, or to the last one. slot is how far the pass has
-- come; 0 when none is running.
--
-- Answer  : kind, older_ms, every_ms, running, slot, looked, removed, removed_total,
--           started_at, finished_at, due_at
-- Touches : SELECT purge_pass (all rows)
-- Errors  : none
-- Replays : reads only

DROP PROCEDURE IF EXISTS purge_status;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE purge_status ()
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v1: what is purged and how far that is'
BEGIN
    SELECT p.kind,
           p.older_ms,
           p.every_ms,
           p.running,
           p.slot,
           p.looked,
           p.removed,
           p.removed_total,
           p.started_at,
           p.finished_at,
           p.due_at
      FROM purge_pass AS p
     ORDER BY p.kind;
END$$

DELIMITER ;
