-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- shard_tick: raise this shard's counter, every 10 seconds.
--
-- All servers call it every few seconds; the first of them after 10 s raises it. Only that server
-- (raised: 1) may tell others the counter, which is then on disk. Servers that find it raised may
-- not, since others see a commit before it is on disk.
--
-- The counter is the time, or one more than before: so values from before a backup was restored, or
-- of an old primary, are below those after the shard is admitted. A refused shard does not count.
--
-- Answer  : beat, raised (1: by this call)
-- Touches : SELECT shard_self; SELECT, INSERT, UPDATE shard_beat
-- Errors  : none of its own: those of a server that cannot write
-- Replays : raises the number once in 10 s

DROP PROCEDURE IF EXISTS shard_tick;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE shard_tick ()
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: count on'
BEGIN
    DECLARE v_now    BIGINT DEFAULT _now_ms();
    DECLARE v_raised INT DEFAULT 0;
    DECLARE v_beat   BIGINT UNSIGNED;

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    SELECT MAX(sb.beat)
      INTO v_beat
      FROM shard_beat AS sb
     WHERE v_now - sb.beat_at BETWEEN 0 AND 9999;

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    IF v_beat IS NULL AND (SELECT COUNT(ss.refused_at)
                             FROM shard_self AS ss) = 0 THEN
        INSERT INTO shard_beat (one, beat, beat_at)
        VALUES (1, 0, -10000)
            ON DUPLICATE KEY UPDATE
               one = shard_beat.one;

        -- Taken after the wait for the lock: another session may have raised it at a later time.
        SET v_now = _now_ms();

        UPDATE shard_beat AS sb
           SET sb.beat    = GREATEST(sb.beat + 1, v_now),
               sb.beat_at = v_now
         WHERE v_now - sb.beat_at NOT BETWEEN 0 AND 9999;

        SET v_raised = ROW_COUNT();
    END IF;

    SELECT MAX(sb.beat)
      INTO v_beat
      FROM shard_beat AS sb;

    COMMIT;

    SELECT COALESCE(v_beat, 0) AS beat,
           v_raised AS raised;
END$$

DELIMITER ;
