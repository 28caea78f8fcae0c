-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- shard_heard: this shard's counter, and the last ones that it has heard of others.
--
-- Answer  : name, beat, own (1: this shard's own number), refused (1: this shard is refused)
-- Touches : SELECT shard_self, shard_beat, shard_known
-- Errors  : none
-- Replays : reads only; no row before shard_init

DROP PROCEDURE IF EXISTS shard_heard;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE shard_heard ()
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v1: how far the shards have counted'
BEGIN
    SELECT ss.name,
           COALESCE((SELECT MAX(sb.beat)
                       FROM shard_beat AS sb), 0) AS beat,
           1 AS own,
           IF(ss.refused_at IS NULL, 0, 1) AS refused
      FROM shard_self AS ss
     UNION ALL
    SELECT k.name,
           k.beat,
           0 AS own,
           IF(ss.refused_at IS NULL, 0, 1) AS refused
      FROM shard_self AS ss
     STRAIGHT_JOIN shard_known AS k;
END$$

DELIMITER ;
