-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- promote_parts: the partitions that an own slot has on this shard, and the tables without one.
--
-- in_slot  the own slot
--
-- Partitions are made and dropped by shard/partition.c, which names the epoch: sSLOT_eEPOCH.
--
-- MariaDB leaves a table out of information_schema.partitions while somebody else alters it; the
-- names alone are there all the same, so that such a table does not pass for one without
-- partitions.
--
-- Answer  : tbl, epoch (of the partition; 0: the table has none for the slot; NULL: it is being
--           altered, ask again)
-- Touches : information_schema.tables, information_schema.partitions
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
    SELECT t.table_name AS tbl,
           p.epoch
      FROM information_schema.tables AS t
      LEFT JOIN (SELECT i.table_name,
                        MAX(i.partition_name IS NOT NULL) AS is_divided,
                        CAST(MAX(IF(i.partition_name LIKE CONCAT('s', in_slot, '\_e%'),
                                    SUBSTRING_INDEX(i.partition_name, '_e', -1), 0))
                             AS UNSIGNED) AS epoch
                   FROM information_schema.partitions AS i
                  WHERE i.table_schema = DATABASE()
                  GROUP BY i.table_name) AS p
        ON p.table_name = t.table_name
     WHERE t.table_schema = DATABASE()
       AND COALESCE(p.is_divided, 1)
     ORDER BY t.table_name;
END$$

DELIMITER ;
