-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- job_status: the durable jobs of this shard, for operators.
--
-- Counts jobs of all slots, also of those it does not serve (any more).
--
-- Answer  : kind, waiting (not parked), due (of those, now), claimed (of those, now), parked
--           (failed 20 times, waits for an operator), oldest_due_at (ms since the Unix epoch;
--           of those that are not parked), attempts (the most)
-- Touches : SELECT job (all rows)
-- Errors  : none
-- Replays : reads only

DROP PROCEDURE IF EXISTS job_status;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE job_status ()
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v1: durable work that is still to be done'
BEGIN
    DECLARE v_now BIGINT DEFAULT _now_ms();

    SELECT jb.kind,
           SUM(jb.parked = 0) AS waiting,
           SUM(jb.parked = 0 AND jb.due_at <= v_now AND jb.claimed_until <= v_now) AS due,
           SUM(jb.parked = 0 AND jb.claimed_until > v_now) AS claimed,
           SUM(jb.parked = 1) AS parked,
           MIN(IF(jb.parked = 0, jb.due_at, NULL)) AS oldest_due_at,
           MAX(jb.attempts) AS attempts
      FROM job AS jb
     GROUP BY jb.kind
     ORDER BY jb.kind;
END$$

DELIMITER ;
