-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- outbox_parked: second halves that failed 20 times and wait for an operator.
--
-- in_limit  at most so many, 1 to 1000
--
-- The oldest first, of all slots. When the reason (in the server's log, half_failed) is gone, CALL
-- outbox_retry(owner) has them tried again. behind: how many messages of the chat wait for this
-- one.
--
-- Answer  : slot, owner (comment: the video), kind, target, seq, ver, at (ms since the Unix
--           epoch), attempts, behind
-- Touches : SELECT outbox (by parked and due_at; by key)
-- Errors  : 45400 an argument is NULL or out of range
-- Replays : reads only

DROP PROCEDURE IF EXISTS outbox_parked;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE outbox_parked (
    IN in_limit INT
)
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v1: second halves that wait for an operator'
BEGIN
    IF NOT COALESCE(in_limit BETWEEN 1 AND 1000, FALSE) THEN
        SIGNAL SQLSTATE '45400' SET MESSAGE_TEXT = 'outbox_parked needs limit 1 to 1000';
    END IF;

    SELECT d.slot,
           d.actor_id AS owner,
           d.kind,
           d.target_id AS target,
           d.seq,
           d.ver,
           d.at,
           d.attempts,
           (SELECT COUNT(*)
              FROM outbox AS b FORCE INDEX (PRIMARY)
             WHERE b.slot = IF(d.kind = 'message', d.slot, NULL)
               AND b.actor_id = d.actor_id
               AND b.kind = d.kind
               AND b.target_id = d.target_id
               AND b.seq > d.seq) AS behind
      FROM (SELECT x.slot,
                   x.actor_id,
                   x.kind,
                   x.target_id,
                   x.seq,
                   x.ver,
                   x.at,
                   x.attempts
              FROM outbox AS x FORCE INDEX (due)
             WHERE x.parked = 1
             ORDER BY x.due_at
             LIMIT in_limit) AS d
     ORDER BY d.at,
              d.slot,
              d.actor_id,
              d.kind,
              d.target_id,
              d.seq;
END$$

DELIMITER ;
