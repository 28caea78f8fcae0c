-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- load_owners: the owners that cost most here, for operators.
--
-- in_limit  how many, at most 1000
--
-- The cost of a video counts for its author: user_id is the user who could be promoted.
--
-- Answer  : slot, owner_id, kind (user, video, or unknown: gone since), user_id (NULL: unknown),
--           operations_per_min, busy_us_per_min (recently: half of the weight is on the last ten
--           minutes)
-- Touches : SELECT slot_fence, owner_load (all rows), user, video (by slot and id)
-- Errors  : 45400 no such limit
-- Replays : reads only

DROP PROCEDURE IF EXISTS load_owners;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE load_owners (
    IN in_limit INT UNSIGNED
)
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v1: owners that cost most'
BEGIN
    DECLARE v_now BIGINT DEFAULT _now_ms();

    IF NOT COALESCE(in_limit BETWEEN 1 AND 1000, FALSE) THEN
        SIGNAL SQLSTATE '45400' SET MESSAGE_TEXT = 'load_owners needs a limit of 1 to 1000';
    END IF;

    SELECT w.slot,
           w.owner_id,
           CASE WHEN u.user_id IS NOT NULL THEN 'user'
                WHEN v.video_id IS NOT NULL THEN 'video'
                ELSE 'unknown'
           END AS kind,
           COALESCE(u.user_id, v.author_id) AS user_id,
           _load_per_min(w.operations, w.at, w.since, v_now) AS operations_per_min,
           _load_per_min(w.busy_us, w.at, w.since, v_now) AS busy_us_per_min
      FROM owner_load AS w
      JOIN slot_fence AS f FORCE INDEX (PRIMARY)
        ON f.slot = w.slot
       AND f.state IN ('owned', 'migrating')
      LEFT JOIN user AS u FORCE INDEX (PRIMARY)
        ON u.slot = w.slot
       AND u.user_id = w.owner_id
      LEFT JOIN video AS v FORCE INDEX (PRIMARY)
        ON v.slot = w.slot
       AND v.video_id = w.owner_id
     ORDER BY busy_us_per_min DESC,
              w.owner_id
     LIMIT in_limit;
END$$

DELIMITER ;
