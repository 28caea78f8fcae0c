-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- job_parked: jobs that failed 20 times and wait for an operator.
--
-- in_limit  at most so many, 1 to 1000
--
-- The longest due first, of all slots. When the reason (error) is gone, CALL job_retry(owner) has
-- them tried again.
--
-- Answer  : slot, owner, kind, target, payload, due_at (ms since the Unix epoch), attempts,
--           error (why the last attempt failed)
-- Touches : SELECT job (by parked and due_at)
-- Errors  : 45400 an argument is NULL or out of range
-- Replays : reads only

DROP PROCEDURE IF EXISTS job_parked;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE job_parked (
    IN in_limit INT
)
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v1: jobs that wait for an operator'
BEGIN
    IF NOT COALESCE(in_limit BETWEEN 1 AND 1000, FALSE) THEN
        SIGNAL SQLSTATE '45400' SET MESSAGE_TEXT = 'job_parked needs limit 1 to 1000';
    END IF;

    SELECT jb.slot,
           jb.owner_id AS owner,
           jb.kind,
           jb.target_id AS target,
           jb.payload,
           jb.due_at,
           jb.attempts,
           jb.last_error AS error
      FROM job AS jb FORCE INDEX (due)
     WHERE jb.parked = 1
     ORDER BY jb.due_at,
              jb.slot,
              jb.owner_id,
              jb.kind,
              jb.target_id
     LIMIT in_limit;
END$$

DELIMITER ;
