-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- slot_stats: how many users and videos this shard holds per slot, for operators.
--
-- Counts rows, also of slots that it does not own (any more). Reads whole indexes.
--
-- Answer  : slot, users, videos
-- Touches : SELECT user, video (all rows)
-- Errors  : none
-- Replays : reads only

DROP PROCEDURE IF EXISTS slot_stats;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE slot_stats ()
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v1: rows per slot'
BEGIN
    SELECT t.slot,
           SUM(t.users) AS users,
           SUM(t.videos) AS videos
      FROM (SELECT f.slot,
                   0 AS users,
                   0 AS videos
              FROM slot_fence AS f
             UNION ALL
            SELECT u.slot,
                   COUNT(*) AS users,
                   0 AS videos
              FROM user AS u
             GROUP BY u.slot
             UNION ALL
            SELECT v.slot,
                   0 AS users,
                   COUNT(*) AS videos
              FROM video AS v
             GROUP BY v.slot) AS t
     GROUP BY t.slot
     ORDER BY t.slot;
END$$

DELIMITER ;
