-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- outbox_status: second halves that wait to be delivered from this shard, for operators.
--
-- Counts rows of all slots, also of those it does not serve (any more).
--
-- Answer  : kind, waiting, parked (failed 20 times, waits for an operator), oldest_at (ms
--           since the Unix epoch; of those that are not parked), attempts (the most)
-- Touches : SELECT outbox (all rows)
-- Errors  : none
-- Replays : reads only

DROP PROCEDURE IF EXISTS outbox_status;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE outbox_status ()
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v1: what waits to be delivered'
BEGIN
    SELECT x.kind,
           SUM(x.parked = 0) AS waiting,
           SUM(x.parked = 1) AS parked,
           MIN(IF(x.parked = 0, x.at, NULL)) AS oldest_at,
           MAX(x.attempts) AS attempts
      FROM outbox AS x
     GROUP BY x.kind
     ORDER BY x.kind;
END$$

DELIMITER ;
