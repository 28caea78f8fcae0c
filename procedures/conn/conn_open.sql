-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- conn_open: prepare a new connection and describe this shard.
--
-- in_tag  name of the connection, 1 to 48 characters, random: conn_kill finds it by this name
--
-- Takes the lock 'doushard:' + tag for as long as the connection lives, and sets the
-- session: READ COMMITTED, UTC, waits for row locks of at most 2 s and for table
-- definitions of at most 5 s.
--
-- Answer  : server ('' before shard_init), schema_version, schema_serves (oldest version whose
--           programs it serves), connection_id, flush_log, sync_binlog, log_bin, doublewrite
--           (1 or 0), flavour, version, now_ms, beat (see shard_tick), refused (1: shard_refuse)
-- Touches : SELECT shard_self, shard_beat, schema_version; the lock of the tag
-- Errors  : 45400 no such tag   45503 the tag is in use by another connection
-- Replays : a second call on the same connection replaces the tag

DROP PROCEDURE IF EXISTS conn_open;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE conn_open (
    IN in_tag VARCHAR(64)
)
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v3 serves v2: prepare a connection and describe the shard'
BEGIN
    DECLARE v_got INT;

    IF NOT COALESCE(CHAR_LENGTH(in_tag) BETWEEN 1 AND 48, FALSE) THEN
        SIGNAL SQLSTATE '45400' SET MESSAGE_TEXT = 'conn_open needs a tag of 1 to 48 characters';
    END IF;

    DO RELEASE_ALL_LOCKS();
    SET v_got = GET_LOCK(CONCAT('doushard:', in_tag), 0);

    IF NOT COALESCE(v_got = 1, FALSE) THEN
        SIGNAL SQLSTATE '45503' SET MESSAGE_TEXT = 'the tag is in use by another connection';
    END IF;

    SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED;
    SET SESSION innodb_lock_wait_timeout = 1;
    SET SESSION lock_wait_timeout = 1;
    SET SESSION time_zone = '+00:00';

    SELECT COALESCE((SELECT ss.name
                       FROM shard_self AS ss), '') AS server,
           (SELECT MAX(sv.version)
              FROM schema_version AS sv) AS schema_version,
           (SELECT MAX(sv.serves)
              FROM schema_version AS sv) AS schema_serves,
           CONNECTION_ID() AS connection_id,
           @@GLOBAL.innodb_flush_log_at_trx_commit AS flush_log,
           @@GLOBAL.sync_binlog AS sync_binlog,
           @@GLOBAL.log_bin AS log_bin,
           CASE CAST(@@GLOBAL.innodb_doublewrite AS CHAR)
                WHEN '1'
                THEN 1
                WHEN 'ON'
                THEN 1
                WHEN 'DETECT_AND_RECOVER'
                THEN 1
                ELSE 0
           END AS doublewrite,
           IF(VERSION() LIKE '%MariaDB%', 'mariadb', 'mysql') AS flavour,
           VERSION() AS version,
           _now_ms() AS now_ms,
           COALESCE((SELECT MAX(sb.beat)
                       FROM shard_beat AS sb), 0) AS beat,
           (SELECT COUNT(ss.refused_at)
              FROM shard_self AS ss) AS refused;
END$$

DELIMITER ;
