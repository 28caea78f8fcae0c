-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- audit_owners: users with their counters and what their rows say, for the auditor.
--
-- in_after_slot  where to go on: after this slot
-- in_after_id    and this user; 0, 0: from the beginning
-- in_limit       at most so many, 1 to 1000
--
-- In the order (slot, user), of the slots that this shard serves. Each row agrees in itself
-- at every time, not only when nothing is running. Counters of a row that is not there are -1.
--
-- Answer  : slot, user_id, state, edge_ver, follow_count, follows, follower_count, followers,
--           favorite_count, favorites, work_count, works, total_favorited, likes,
--           bad_videos (live ones whose favorite_count or comment_count is not that of their
--           rows)
-- Touches : SELECT shard_self, slot_fence, owner_home, user, inbound, video, follow, follower,
--           favorite, liker, comment (by slot and owner), in one snapshot
-- Errors  : 45400 an argument is NULL or out of range
-- Replays : reads only

DROP PROCEDURE IF EXISTS audit_owners;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE audit_owners (
    IN in_after_slot INT UNSIGNED,
    IN in_after_id   BIGINT UNSIGNED,
    IN in_limit      INT
)
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v1: users, their counters and their rows'
BEGIN
    DECLARE v_open TINYINT DEFAULT _shard_open();

    IF NOT COALESCE(in_after_slot >= 0
                    AND in_after_id >= 0
                    AND in_limit BETWEEN 1 AND 1000, FALSE) THEN
        SIGNAL SQLSTATE '45400'
           SET MESSAGE_TEXT = 'audit_owners needs after_slot, after_id, limit 1 to 1000';
    END IF;

    SELECT u.slot,
           u.user_id,
           u.state,
           u.edge_ver,
           u.follow_count,
           (SELECT COUNT(*)
              FROM follow AS t FORCE INDEX (newest)
             WHERE t.slot = u.slot
               AND t.user_id = u.user_id
               AND t.state = 1) AS follows,
           COALESCE(i.follower_count, -1) AS follower_count,
           (SELECT COUNT(*)
              FROM follower AS t FORCE INDEX (newest)
             WHERE t.slot = u.slot
               AND t.user_id = u.user_id
               AND t.state = 1) AS followers,
           u.favorite_count,
           (SELECT COUNT(*)
              FROM favorite AS t FORCE INDEX (newest)
             WHERE t.slot = u.slot
               AND t.user_id = u.user_id
               AND t.state = 1) AS favorites,
           u.work_count,
           (SELECT COUNT(*)
              FROM video AS t FORCE INDEX (author)
             WHERE t.slot = u.slot
               AND t.author_id = u.user_id
               AND t.state = 'live') AS works,
           COALESCE(i.total_favorited, -1) AS total_favorited,
           (SELECT COALESCE(SUM(t.favorite_count), 0)
              FROM video AS t FORCE INDEX (author)
             WHERE t.slot = u.slot
               AND t.author_id = u.user_id
               AND t.state = 'live') AS likes,
           (SELECT COUNT(*)
              FROM video AS v FORCE INDEX (author)
             WHERE v.slot = u.slot
               AND v.author_id = u.user_id
               AND v.state = 'live'
               AND (v.favorite_count <> (SELECT COUNT(*)
                                           FROM liker AS t FORCE INDEX (PRIMARY)
                                          WHERE t.slot = v.slot
                                            AND t.video_id = v.video_id
                                            AND t.state = 1)
                    OR v.comment_count <> (SELECT COUNT(*)
                                             FROM comment AS t FORCE INDEX (newest)
                                            WHERE t.slot = v.slot
                                              AND t.video_id = v.video_id
                                              AND t.state = 'live'))) AS bad_videos
      FROM user AS u FORCE INDEX (PRIMARY)
     STRAIGHT_JOIN slot_fence AS f FORCE INDEX (PRIMARY)
        ON f.slot = u.slot
       AND (f.answer = 'ok' OR (v_open AND f.answer = 'notready'
                            AND f.state IN ('owned', 'migrating')))
      LEFT JOIN inbound AS i FORCE INDEX (PRIMARY)
        ON i.slot = u.slot
       AND i.user_id = u.user_id
      LEFT JOIN owner_home AS h FORCE INDEX (PRIMARY)
        ON h.slot = IF(f.has_home = 1, u.slot, NULL)
       AND h.owner_id = u.user_id
     WHERE ((u.slot = in_after_slot AND u.user_id > in_after_id)
            OR u.slot > in_after_slot)
       AND h.owner_id IS NULL
     ORDER BY u.slot,
              u.user_id
     LIMIT in_limit;
END$$

DELIMITER ;
