-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- shard_status: what this shard is, and whether it is paused.
--
-- Answer  : server, installed_at (ms since the Unix epoch), paused_at (likewise; 0: it is not),
--           paused_by (account), paused_why, slots (it owns), served (those that answer),
--           refused_at (as paused_at; see shard_refuse), refused_why, settled_at (likewise;
--           shard_restored), draining_at (likewise; shard_drain)
-- Touches : SELECT shard_self, slot_fence (all rows)
-- Errors  : none
-- Replays : reads only; no row before shard_init

DROP PROCEDURE IF EXISTS shard_status;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE shard_status ()
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v3 serves v1: what this shard is, and whether it is paused'
BEGIN
    SELECT ss.name AS server,
           ss.installed_at,
           COALESCE(ss.paused_at, 0) AS paused_at,
           ss.paused_by,
           ss.paused_why,
           (SELECT COUNT(*)
              FROM slot_fence AS f
             WHERE f.state IN ('owned', 'migrating')) AS slots,
           (SELECT COUNT(*)
              FROM slot_fence AS f
             WHERE f.answer = 'ok') AS served,
           COALESCE(ss.refused_at, 0) AS refused_at,
           ss.refused_why,
           COALESCE(ss.settled_at, 0) AS settled_at,
           COALESCE(ss.draining_at, 0) AS draining_at
      FROM shard_self AS ss;
END$$

DELIMITER ;
