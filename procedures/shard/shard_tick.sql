-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- shard_tick: count on, every 10 seconds.
--
-- All servers call it every few seconds; the number is raised by the first of them after 10 s. Who
-- did that (raised: 1) may tell the others what this shard has counted to: by then it is on disk.
-- Who finds it raised may not, since a commit is seen by others before it is on disk.
--
-- The number is the time, or one more than it was: what was counted before a backup was put back,
-- or by an old primary, is below what is counted after it has been admitted. A shard that is
-- refused does not count.
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

        -- Not from before another one was waited for, who raised it at a later time.
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
