-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- promote_parts: the partitions that an own slot has on this shard, and the tables without one.
--
-- in_slot  the own slot
--
-- Partitions are made and dropped by shard/partition.c, which names the epoch: sSLOT_eEPOCH.
--
-- MariaDB leaves a table out of information_schema.partitions while another session alters it, and
-- for a moment, while it has no file, out of information_schema.tables. So the names are listed
-- here, and such a table does not count as one without partitions.
--
-- Answer  : tbl, epoch (of the partition; 0: the table has none for the slot; NULL: it is being
--           altered, ask again)
-- Touches : information_schema.partitions
-- Errors  : none
-- Replays : reads only

DROP PROCEDURE IF EXISTS promote_parts;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE promote_parts (
    IN in_slot INT UNSIGNED
)
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v1: partitions of an own slot'
BEGIN
    SELECT t.tbl,
           p.epoch
      FROM (SELECT 'chat' AS tbl
             UNION ALL SELECT 'comment'
             UNION ALL SELECT 'commented'
             UNION ALL SELECT 'favorite'
             UNION ALL SELECT 'follow'
             UNION ALL SELECT 'follower'
             UNION ALL SELECT 'inbound'
             UNION ALL SELECT 'job'
             UNION ALL SELECT 'liker'
             UNION ALL SELECT 'message'
             UNION ALL SELECT 'outbox'
             UNION ALL SELECT 'session'
             UNION ALL SELECT 'user'
             UNION ALL SELECT 'video') AS t
      LEFT JOIN (SELECT i.table_name,
                        CAST(MAX(IF(i.partition_name LIKE CONCAT('s', in_slot, '\_e%'),
                                    SUBSTRING_INDEX(i.partition_name, '_e', -1), 0))
                             AS UNSIGNED) AS epoch
                   FROM information_schema.partitions AS i
                  WHERE i.table_schema = DATABASE()
                  GROUP BY i.table_name) AS p
        ON p.table_name = t.tbl COLLATE utf8mb4_bin
     ORDER BY t.tbl;
END$$

DELIMITER ;
