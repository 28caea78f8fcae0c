-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- user_export_page: the answer of user_export page by page, for writing it to a file.
--
-- in_slot     slot of the user
-- in_epoch    epoch of the slot, as the router believes
-- in_user_id  user
-- in_part     profile, sessions, videos, follows, followers, favorites, comments or messages
-- in_after1   where to go on: after the row with this k1
-- in_after2   and k2; both 0: from the beginning
-- in_limit    at most so many, 1 to 1000; the sessions, 1000 at most, always come at once
--
-- In the order of k1 and k2. An empty page is one row whose own columns are NULL. Erased users
-- are found. Secrets are left out. Pages are not of the same snapshot.
--
-- Answer  : n, code, slot, epoch, server, k1, k2, item (a JSON object)
-- Answer 2: as _op_refusals (when this shard does not serve the owner)
-- Codes   : ok notfound moved notready
-- Touches : SELECT slot_fence (by slot), owner_home, user, inbound, session, video, follow,
--           follower, favorite, commented, message (by slot and owner), in one snapshot
-- Errors  : 45400 an argument is NULL or out of range
-- Replays : reads only

DROP PROCEDURE IF EXISTS user_export_page;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE user_export_page (
    IN in_slot    INT UNSIGNED,
    IN in_epoch   BIGINT UNSIGNED,
    IN in_user_id BIGINT UNSIGNED,
    IN in_part    VARCHAR(16),
    IN in_after1  BIGINT UNSIGNED,
    IN in_after2  BIGINT UNSIGNED,
    IN in_limit   INT
)
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v1: what is kept about a user, page by page'
BEGIN
    IF NOT COALESCE(in_slot >= 0
                    AND in_epoch >= 0
                    AND in_user_id > 0
                    AND in_part IN ('profile', 'sessions', 'videos', 'follows', 'followers',
                                    'favorites', 'comments', 'messages')
                    AND in_after1 >= 0
                    AND in_after2 >= 0
                    AND in_limit BETWEEN 1 AND 1000, FALSE) THEN
        SIGNAL SQLSTATE '45400'
           SET MESSAGE_TEXT = 'user_export_page needs slot to user_id, part, after1 to limit';
    END IF;

    SELECT 1 AS n,
           IF(u.user_id IS NULL, 'notfound', 'ok') AS code,
           f.slot,
           f.epoch,
           f.server,
           l.k1,
           l.k2,
           l.item
      FROM slot_fence AS f
      LEFT JOIN owner_home AS h
        ON h.slot = IF(f.has_home = 1, f.slot, NULL)
       AND h.owner_id = in_user_id
      LEFT JOIN user AS u
        ON u.slot = f.slot
       AND u.user_id = in_user_id
      LEFT JOIN ((SELECT t.slot,
                         t.user_id AS k1,
                         0 AS k2,
                         JSON_OBJECT('user_id', t.user_id,
                                     'name', t.name,
                                     'avatar', t.avatar,
                                     'background_image', t.background_image,
                                     'signature', t.signature,
                                     'state', t.state,
                                     'follow_count', t.follow_count,
                                     'follower_count', i.follower_count,
                                     'total_favorited', i.total_favorited,
                                     'work_count', t.work_count,
                                     'favorite_count', t.favorite_count,
                                     'created_at', t.created_at) AS item
                    FROM user AS t FORCE INDEX (PRIMARY)
                    JOIN inbound AS i FORCE INDEX (PRIMARY)
                      ON i.slot = t.slot
                     AND i.user_id = t.user_id
                   WHERE in_part = 'profile'
                     AND t.slot = in_slot
                     AND t.user_id = in_user_id
                     AND t.user_id > in_after1)
                  UNION ALL
                 (SELECT t.slot,
                         t.created_at AS k1,
                         0 AS k2,
                         JSON_OBJECT('created_at', t.created_at,
                                     'seen_at', t.seen_at,
                                     'expires_at', t.expires_at) AS item
                    FROM session AS t FORCE INDEX (PRIMARY)
                   WHERE in_part = 'sessions'
                     AND t.slot = in_slot
                     AND t.user_id = in_user_id
                     AND in_after1 = 0
                   ORDER BY t.created_at
                   LIMIT 1000)
                  UNION ALL
                 (SELECT t.slot,
                         t.video_id AS k1,
                         0 AS k2,
                         JSON_OBJECT('video_id', t.video_id,
                                     'title', t.title,
                                     'media', t.media,
                                     'size_bytes', t.size_bytes,
                                     'duration_ms', t.duration_ms,
                                     'width', t.width,
                                     'height', t.height,
                                     'state', t.state,
                                     'published_at', t.published_at,
                                     'favorite_count', t.favorite_count,
                                     'comment_count', t.comment_count) AS item
                    FROM video AS t FORCE INDEX (author)
                   WHERE in_part = 'videos'
                     AND t.slot = in_slot
                     AND t.author_id = in_user_id
                     AND t.video_id > in_after1
                   ORDER BY t.video_id
                   LIMIT in_limit)
                  UNION ALL
                 (SELECT t.slot,
                         t.followed_id AS k1,
                         0 AS k2,
                         JSON_OBJECT('followed_id', t.followed_id,
                                     'state', t.state,
                                     'at', t.at) AS item
                    FROM follow AS t FORCE INDEX (PRIMARY)
                   WHERE in_part = 'follows'
                     AND t.slot = in_slot
                     AND t.user_id = in_user_id
                     AND t.followed_id > in_after1
                   ORDER BY t.followed_id
                   LIMIT in_limit)
                  UNION ALL
                 (SELECT t.slot,
                         t.follower_id AS k1,
                         0 AS k2,
                         JSON_OBJECT('follower_id', t.follower_id,
                                     'state', t.state,
                                     'at', t.at) AS item
                    FROM follower AS t FORCE INDEX (PRIMARY)
                   WHERE in_part = 'followers'
                     AND t.slot = in_slot
                     AND t.user_id = in_user_id
                     AND t.follower_id > in_after1
                   ORDER BY t.follower_id
                   LIMIT in_limit)
                  UNION ALL
                 (SELECT t.slot,
                         t.video_id AS k1,
                         0 AS k2,
                         JSON_OBJECT('video_id', t.video_id,
                                     'state', t.state,
                                     'at', t.at) AS item
                    FROM favorite AS t FORCE INDEX (PRIMARY)
                   WHERE in_part = 'favorites'
                     AND t.slot = in_slot
                     AND t.user_id = in_user_id
                     AND t.video_id > in_after1
                   ORDER BY t.video_id
                   LIMIT in_limit)
                  UNION ALL
                 (SELECT t.slot,
                         t.video_id AS k1,
                         t.comment_id AS k2,
                         JSON_OBJECT('video_id', t.video_id,
                                     'comment_id', t.comment_id,
                                     'state', t.state,
                                     'at', t.at) AS item
                    FROM commented AS t FORCE INDEX (PRIMARY)
                   WHERE in_part = 'comments'
                     AND t.slot = in_slot
                     AND t.user_id = in_user_id
                     AND t.video_id >= in_after1
                     AND (t.video_id > in_after1 OR t.comment_id > in_after2)
                   ORDER BY t.video_id,
                            t.comment_id
                   LIMIT in_limit)
                  UNION ALL
                 (SELECT t.slot,
                         t.peer_id AS k1,
                         t.at AS k2,
                         JSON_OBJECT('peer_id', t.peer_id,
                                     'message_id', t.message_id,
                                     'sent', t.sent,
                                     'seq', t.seq,
                                     'at', t.at,
                                     'state', t.state,
                                     'text', t.text) AS item
                    FROM message AS t FORCE INDEX (PRIMARY)
                   WHERE in_part = 'messages'
                     AND t.slot = in_slot
                     AND t.user_id = in_user_id
                     AND t.peer_id >= in_after1
                     AND (t.peer_id > in_after1 OR t.at > in_after2)
                   ORDER BY t.peer_id,
                            t.at
                   LIMIT in_limit)) AS l
        ON l.slot = u.slot
     WHERE f.slot = in_slot
       AND f.answer = 'ok'
       AND f.epoch >= in_epoch
       AND h.owner_id IS NULL
     ORDER BY l.k1,
              l.k2;

    IF FOUND_ROWS() = 0 THEN
        CALL _op_refusals(JSON_ARRAY(JSON_OBJECT('slot', in_slot, 'epoch', in_epoch,
                                                 'owner', in_user_id)));
    END IF;
END$$

DELIMITER ;
