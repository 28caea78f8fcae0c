-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- user_tables: how many rows a user has in each table, for operators.
--
-- in_id  user
--
-- Counts the rows on this shard, owned or not; liker and comment are those of his videos.
--
-- Answer  : tbl, total, live (without tombstones, deleted and parked rows; chats that have a
--           live message)
-- Touches : SELECT every owner table (by slot and owner), owner_home (by slot and owner_id)
-- Errors  : 45400 no id
-- Replays : reads only

DROP PROCEDURE IF EXISTS user_tables;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE user_tables (
    IN in_id BIGINT UNSIGNED
)
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v2: rows of a user in each table'
BEGIN
    DECLARE v_slot INT UNSIGNED;

    IF NOT COALESCE(in_id BETWEEN 1 AND 9007199254740991, FALSE) THEN
        SIGNAL SQLSTATE '45400' SET MESSAGE_TEXT = 'user_tables needs the id of a user';
    END IF;

    SET v_slot = _op_home_slot(in_id);

    SELECT 'user' AS tbl,
           COUNT(*) AS total,
           COALESCE(SUM(t.state = 'live'), 0) AS live
      FROM user AS t
     WHERE t.slot = v_slot
       AND t.user_id = in_id
     UNION ALL
    SELECT 'session' AS tbl,
           COUNT(*) AS total,
           COUNT(*) AS live
      FROM session AS t
     WHERE t.slot = v_slot
       AND t.user_id = in_id
     UNION ALL
    SELECT 'video' AS tbl,
           COUNT(*) AS total,
           COALESCE(SUM(t.state = 'live'), 0) AS live
      FROM video AS t
     WHERE t.slot = v_slot
       AND t.author_id = in_id
     UNION ALL
    SELECT 'follow' AS tbl,
           COUNT(*) AS total,
           COALESCE(SUM(t.state = 1), 0) AS live
      FROM follow AS t
     WHERE t.slot = v_slot
       AND t.user_id = in_id
     UNION ALL
    SELECT 'follower' AS tbl,
           COUNT(*) AS total,
           COALESCE(SUM(t.state = 1), 0) AS live
      FROM follower AS t
     WHERE t.slot = v_slot
       AND t.user_id = in_id
     UNION ALL
    SELECT 'favorite' AS tbl,
           COUNT(*) AS total,
           COALESCE(SUM(t.state = 1), 0) AS live
      FROM favorite AS t
     WHERE t.slot = v_slot
       AND t.user_id = in_id
     UNION ALL
    SELECT 'commented' AS tbl,
           COUNT(*) AS total,
           COALESCE(SUM(t.state = 1), 0) AS live
      FROM commented AS t
     WHERE t.slot = v_slot
       AND t.user_id = in_id
     UNION ALL
    SELECT 'chat' AS tbl,
           COUNT(*) AS total,
           COALESCE(SUM(LENGTH(t.last_text) > 0), 0) AS live
      FROM chat AS t
     WHERE t.slot = v_slot
       AND t.user_id = in_id
     UNION ALL
    SELECT 'message' AS tbl,
           COUNT(*) AS total,
           COALESCE(SUM(t.state = 1), 0) AS live
      FROM message AS t
     WHERE t.slot = v_slot
       AND t.user_id = in_id
     UNION ALL
    SELECT 'outbox' AS tbl,
           COUNT(*) AS total,
           COALESCE(SUM(t.parked = 0), 0) AS live
      FROM outbox AS t
     WHERE t.slot = v_slot
       AND t.actor_id = in_id
     UNION ALL
    SELECT 'job' AS tbl,
           COUNT(*) AS total,
           COALESCE(SUM(t.parked = 0), 0) AS live
      FROM job AS t
     WHERE t.slot = v_slot
       AND t.owner_id = in_id
     UNION ALL
    SELECT 'liker' AS tbl,
           COUNT(*) AS total,
           COALESCE(SUM(t.state = 1), 0) AS live
      FROM video AS v FORCE INDEX (author)
     STRAIGHT_JOIN liker AS t FORCE INDEX (PRIMARY)
        ON t.slot = v.slot
       AND t.video_id = v.video_id
     WHERE v.slot = v_slot
       AND v.author_id = in_id
     UNION ALL
    SELECT 'comment' AS tbl,
           COUNT(*) AS total,
           COALESCE(SUM(t.state = 'live'), 0) AS live
      FROM video AS v FORCE INDEX (author)
     STRAIGHT_JOIN comment AS t FORCE INDEX (PRIMARY)
        ON t.slot = v.slot
       AND t.video_id = v.video_id
     WHERE v.slot = v_slot
       AND v.author_id = in_id;
END$$

DELIMITER ;
