-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- promote_parts: the partitions that an own slot has on this shard, and the tables without one.
--
-- in_slot  the own slot
--
-- Partitions are made and dropped by shard/partition.c, which names the epoch: sSLOT_eEPOCH.
--
-- Answer  : tbl, epoch (of the partition; 0: the table has none for the slot)
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
    SELECT p.table_name AS tbl,
           CAST(MAX(IF(p.partition_name LIKE CONCAT('s', in_slot, '\_e%'),
                       SUBSTRING_INDEX(p.partition_name, '_e', -1), 0)) AS UNSIGNED) AS epoch
      FROM information_schema.partitions AS p
     WHERE p.table_schema = DATABASE()
       AND p.partition_name IS NOT NULL
     GROUP BY p.table_name
     ORDER BY p.table_name;
END$$

DELIMITER ;
