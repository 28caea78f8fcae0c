-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- user_audit: recount everything that is counted about a user and his videos.
--
-- in_id  user
--
-- In one snapshot, of the rows on this shard; fence says whether it is the owner (owned or
-- migrating). The other halves of edges are on other shards: see audit_rows.
--
-- edge_ver, message_last and comment_last are the last numbers given: none of the rows may
-- have a later one. The chats of an erased user keep their numbers when their messages are gone,
-- and are not checked.
--
-- Answer  : fence, id (user, video or peer of a chat), what, counter, counted, good (1: they
--           agree)
-- Touches : SELECT slot_fence, owner_home, user, video, follow, follower, favorite, liker,
--           comment, chat, message (by slot and owner), in one snapshot
-- Errors  : 45400 no id
-- Replays : reads only

DROP PROCEDURE IF EXISTS user_audit;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE user_audit (
    IN in_id BIGINT UNSIGNED
)
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v2: recount what is counted about a user'
BEGIN
    DECLARE v_slot INT UNSIGNED;

    IF NOT COALESCE(in_id BETWEEN 1 AND 9007199254740991, FALSE) THEN
        SIGNAL SQLSTATE '45400' SET MESSAGE_TEXT = 'user_audit needs the id of a user';
    END IF;

    SET v_slot = _op_home_slot(in_id);

    SELECT f.state AS fence,
           a.id,
           a.what,
           a.counter,
           a.counted,
           IF(a.counter = a.counted, 1, 0) AS good
      FROM (SELECT u.user_id AS id,
                   'follow_count' AS what,
                   u.follow_count AS counter,
                   (SELECT COUNT(*)
                      FROM follow AS t FORCE INDEX (newest)
                     WHERE t.slot = u.slot
                       AND t.user_id = u.user_id
                       AND t.state = 1) AS counted
              FROM user AS u
             WHERE u.slot = v_slot
               AND u.user_id = in_id
             UNION ALL
            SELECT i.user_id AS id,
                   'follower_count' AS what,
                   i.follower_count AS counter,
                   (SELECT COUNT(*)
                      FROM follower AS t FORCE INDEX (newest)
                     WHERE t.slot = i.slot
                       AND t.user_id = i.user_id
                       AND t.state = 1) AS counted
              FROM inbound AS i
             WHERE i.slot = v_slot
               AND i.user_id = in_id
             UNION ALL
            SELECT u.user_id AS id,
                   'favorite_count' AS what,
                   u.favorite_count AS counter,
                   (SELECT COUNT(*)
                      FROM favorite AS t FORCE INDEX (newest)
                     WHERE t.slot = u.slot
                       AND t.user_id = u.user_id
                       AND t.state = 1) AS counted
              FROM user AS u
             WHERE u.slot = v_slot
               AND u.user_id = in_id
             UNION ALL
            SELECT u.user_id AS id,
                   'work_count' AS what,
                   u.work_count AS counter,
                   (SELECT COUNT(*)
                      FROM video AS t FORCE INDEX (author)
                     WHERE t.slot = u.slot
                       AND t.author_id = u.user_id
                       AND t.state = 'live') AS counted
              FROM user AS u
             WHERE u.slot = v_slot
               AND u.user_id = in_id
             UNION ALL
            SELECT i.user_id AS id,
                   'total_favorited' AS what,
                   i.total_favorited AS counter,
                   (SELECT COALESCE(SUM(t.favorite_count), 0)
                      FROM video AS t FORCE INDEX (author)
                     WHERE t.slot = i.slot
                       AND t.author_id = i.user_id
                       AND t.state = 'live') AS counted
              FROM inbound AS i
             WHERE i.slot = v_slot
               AND i.user_id = in_id
             UNION ALL
            SELECT v.video_id AS id,
                   'video_favorite_count' AS what,
                   v.favorite_count AS counter,
                   (SELECT COUNT(*)
                      FROM liker AS t FORCE INDEX (PRIMARY)
                     WHERE t.slot = v.slot
                       AND t.video_id = v.video_id
                       AND t.state = 1) AS counted
              FROM video AS v FORCE INDEX (author)
             WHERE v.slot = v_slot
               AND v.author_id = in_id
               AND v.state = 'live'
             UNION ALL
            SELECT v.video_id AS id,
                   'video_comment_count' AS what,
                   v.comment_count AS counter,
                   (SELECT COUNT(*)
                      FROM comment AS t FORCE INDEX (newest)
                     WHERE t.slot = v.slot
                       AND t.video_id = v.video_id
                       AND t.state = 'live') AS counted
              FROM video AS v FORCE INDEX (author)
             WHERE v.slot = v_slot
               AND v.author_id = in_id
               AND v.state = 'live'
             UNION ALL
            SELECT u.user_id AS id,
                   'edge_ver' AS what,
                   u.edge_ver AS counter,
                   GREATEST(u.edge_ver,
                            COALESCE((SELECT MAX(t.ver)
                                        FROM follow AS t
                                       WHERE t.slot = u.slot
                                         AND t.user_id = u.user_id), 0),
                            COALESCE((SELECT MAX(t.ver)
                                        FROM favorite AS t
                                       WHERE t.slot = u.slot
                                         AND t.user_id = u.user_id), 0)) AS counted
              FROM user AS u
             WHERE u.slot = v_slot
               AND u.user_id = in_id
             UNION ALL
            SELECT i.user_id AS id,
                   'follower_ver' AS what,
                   i.follower_ver AS counter,
                   GREATEST(i.follower_ver,
                            COALESCE((SELECT MAX(t.pos)
                                        FROM follower AS t
                                       WHERE t.slot = i.slot
                                         AND t.user_id = i.user_id), 0)) AS counted
              FROM inbound AS i
             WHERE i.slot = v_slot
               AND i.user_id = in_id
             UNION ALL
            SELECT u.user_id AS id,
                   'message_last' AS what,
                   u.message_last AS counter,
                   GREATEST(u.message_last,
                            COALESCE((SELECT MAX(t.message_id DIV 8192 * 8 + t.message_id MOD 8)
                                        FROM message AS t FORCE INDEX (PRIMARY)
                                       WHERE t.slot = u.slot
                                         AND t.user_id = u.user_id
                                         AND t.sent = 1), 0)) AS counted
              FROM user AS u
             WHERE u.slot = v_slot
               AND u.user_id = in_id
             UNION ALL
            SELECT v.video_id AS id,
                   'comment_last' AS what,
                   v.comment_last AS counter,
                   GREATEST(v.comment_last,
                            COALESCE((SELECT t.comment_id DIV 8192 * 8 + t.comment_id MOD 8
                                        FROM comment AS t FORCE INDEX (PRIMARY)
                                       WHERE t.slot = v.slot
                                         AND t.video_id = v.video_id
                                       ORDER BY t.comment_id DESC
                                       LIMIT 1), 0)) AS counted
              FROM video AS v FORCE INDEX (author)
             WHERE v.slot = v_slot
               AND v.author_id = in_id
               AND v.state = 'live'
             UNION ALL
            SELECT c.peer_id AS id,
                   'recv_seq' AS what,
                   c.recv_seq AS counter,
                   (SELECT COUNT(*)
                      FROM message AS t FORCE INDEX (seq)
                     WHERE t.slot = c.slot
                       AND t.user_id = c.user_id
                       AND t.peer_id = c.peer_id
                       AND t.sent = 0) AS counted
              FROM chat AS c
             STRAIGHT_JOIN user AS u FORCE INDEX (PRIMARY)
                ON u.slot = c.slot
               AND u.user_id = c.user_id
               AND u.state <> 'erased'
             WHERE c.slot = v_slot
               AND c.user_id = in_id
             UNION ALL
            SELECT c.peer_id AS id,
                   'sent_seq' AS what,
                   c.sent_seq AS counter,
                   (SELECT COUNT(*)
                      FROM message AS t FORCE INDEX (seq)
                     WHERE t.slot = c.slot
                       AND t.user_id = c.user_id
                       AND t.peer_id = c.peer_id
                       AND t.sent = 1) AS counted
              FROM chat AS c
             STRAIGHT_JOIN user AS u FORCE INDEX (PRIMARY)
                ON u.slot = c.slot
               AND u.user_id = c.user_id
               AND u.state <> 'erased'
             WHERE c.slot = v_slot
               AND c.user_id = in_id) AS a
      LEFT JOIN slot_fence AS f
        ON f.slot = v_slot
     ORDER BY good,
              a.what,
              a.id;
END$$

DELIMITER ;
