-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- shard_free: how much space is free where this shard keeps its files.
--
-- The value of shard_report in the last 3 minutes; else what MariaDB's plugin DISKS says about the
-- file systems of the data, the redo log and the binary log (the fullest counts); else unknown. The
-- plugin answers only accounts that may read files, so this routine has its own definer. It shows
-- mounts, not links: if a directory is a link to another file system, use shard_report.
--
-- Answer  : free_bytes (NULL: unknown), now_at (its clock, ms since the Unix epoch)
-- Touches : SELECT shard_health; information_schema.disks
-- Errors  : none
-- Replays : reads only

DROP PROCEDURE IF EXISTS shard_free;

DELIMITER $$

CREATE DEFINER = doushard_disk@localhost PROCEDURE shard_free ()
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v2 serves v1: how much room this shard has'
BEGIN
    DECLARE v_free BIGINT;

    -- without /etc/mtab the plugin has nothing to read
    DECLARE e_no_mounts CONDITION FOR 1105;
    DECLARE e_no_plugin CONDITION FOR 1109;
    DECLARE CONTINUE HANDLER FOR e_no_mounts, e_no_plugin BEGIN END;

    SET v_free = (SELECT sh.free_bytes
                    FROM shard_health AS sh
                   WHERE sh.reported_at > _now_ms() - 180000);

    IF v_free IS NULL THEN
        SELECT MIN((SELECT d.available * 1024
                      FROM information_schema.disks AS d
                     WHERE d.path = '/'
                        OR LEFT(dir.path, CHAR_LENGTH(d.path) + 1) = CONCAT(d.path, '/')
                     ORDER BY CHAR_LENGTH(d.path) DESC
                     LIMIT 1))
          INTO v_free
          FROM (SELECT @@GLOBAL.datadir AS path
                 UNION ALL
                SELECT @@GLOBAL.innodb_log_group_home_dir AS path
                 UNION ALL
                SELECT @@GLOBAL.log_bin_basename AS path) AS dir
         WHERE LEFT(dir.path, 1) = '/';
    END IF;

    SELECT v_free AS free_bytes,
           _now_ms() AS now_at;
END$$

DELIMITER ;
