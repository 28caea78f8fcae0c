-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- shard_report: report how much space is free where this shard keeps its files.
--
-- in_free_bytes  free for the server's account on its fullest file system
--
-- For hosts whose server cannot tell (no plugin DISKS, a container, MySQL): something that runs
-- there calls it at least once a minute, for instance
--     mariadb doushard -e "CALL shard_report($(df -B1 --output=avail /srv/shard1 | tail -1))"
-- A report is valid for 3 minutes.
--
-- Answer  : free_bytes
-- Touches : INSERT, UPDATE shard_health
-- Errors  : 45400 no number of bytes
-- Replays : says it again

DROP PROCEDURE IF EXISTS shard_report;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE shard_report (
    IN in_free_bytes BIGINT
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: say how much room this shard has'
BEGIN
    DECLARE v_now BIGINT DEFAULT _now_ms();

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    IF NOT COALESCE(in_free_bytes >= 0, FALSE) THEN
        SIGNAL SQLSTATE '45400' SET MESSAGE_TEXT = 'shard_report needs a number of bytes';
    END IF;

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    INSERT INTO shard_health (one, free_bytes, reported_at)
    VALUES (1, in_free_bytes, v_now)
        ON DUPLICATE KEY UPDATE
           free_bytes  = in_free_bytes,
           reported_at = v_now;

    COMMIT;

    SELECT in_free_bytes AS free_bytes;
END$$

DELIMITER ;
