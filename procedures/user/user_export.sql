-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- user_export: everything that this service stores about a user, for that user.
--
-- in_id  user
--
-- One result set per table, in one snapshot; all are empty where this shard does not own the
-- user. The texts of his comments are at the videos, which the answer of commented names, maybe
-- on other shards: `shardctl export` gathers everything in one file. Secrets are left out.
--
-- Answer  : user_id, name, avatar, background_image, signature, state, follow_count,
--           follower_count, total_favorited, work_count, favorite_count, created_at
-- Answer 2: created_at, seen_at, expires_at
-- Answer 3: video_id, title, media, size_bytes, duration_ms, width, height, state,
--           published_at, favorite_count, comment_count
-- Answer 4: followed_id, state, at
-- Answer 5: follower_id, state, at
-- Answer 6: video_id, state, at
-- Answer 7: video_id, comment_id, state, at
-- Answer 8: peer_id, message_id, sent, seq, at, state, text
-- Touches : SELECT slot_fence, owner_home, user, inbound, session, video, follow, follower,
--           favorite,
--           commented, message (by slot and owner), in one snapshot
-- Errors  : 45400 no id
-- Replays : reads only

DROP PROCEDURE IF EXISTS user_export;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE user_export (
    IN in_id BIGINT UNSIGNED
)
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v1: everything that is kept about a user'
BEGIN
    DECLARE v_slot INT UNSIGNED;

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    IF NOT COALESCE(in_id BETWEEN 1 AND 9007199254740991, FALSE) THEN
        SIGNAL SQLSTATE '45400' SET MESSAGE_TEXT = 'user_export needs the id of a user';
    END IF;

    SET v_slot = _op_home_slot(in_id);

    SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;
    START TRANSACTION WITH CONSISTENT SNAPSHOT;

    SELECT t.user_id,
           t.name,
           t.avatar,
           t.background_image,
           t.signature,
           t.state,
           t.follow_count,
           i.follower_count,
           i.total_favorited,
           t.work_count,
           t.favorite_count,
           t.created_at
      FROM slot_fence AS f
     STRAIGHT_JOIN user AS t
        ON t.slot = f.slot
       AND t.user_id = in_id
     STRAIGHT_JOIN inbound AS i
        ON i.slot = t.slot
       AND i.user_id = t.user_id
     WHERE f.slot = v_slot
       AND f.answer = 'ok'
     ORDER BY t.user_id;

    SELECT t.created_at,
           t.seen_at,
           t.expires_at
      FROM slot_fence AS f
     STRAIGHT_JOIN session AS t
        ON t.slot = f.slot
       AND t.user_id = in_id
     WHERE f.slot = v_slot
       AND f.answer = 'ok'
     ORDER BY t.created_at;

    SELECT t.video_id,
           t.title,
           t.media,
           t.size_bytes,
           t.duration_ms,
           t.width,
           t.height,
           t.state,
           t.published_at,
           t.favorite_count,
           t.comment_count
      FROM slot_fence AS f
     STRAIGHT_JOIN video AS t
        ON t.slot = f.slot
       AND t.author_id = in_id
     WHERE f.slot = v_slot
       AND f.answer = 'ok'
     ORDER BY t.video_id;

    SELECT t.followed_id,
           t.state,
           t.at
      FROM slot_fence AS f
     STRAIGHT_JOIN follow AS t
        ON t.slot = f.slot
       AND t.user_id = in_id
     WHERE f.slot = v_slot
       AND f.answer = 'ok'
     ORDER BY t.ver;

    SELECT t.follower_id,
           t.state,
           t.at
      FROM slot_fence AS f
     STRAIGHT_JOIN follower AS t
        ON t.slot = f.slot
       AND t.user_id = in_id
     WHERE f.slot = v_slot
       AND f.answer = 'ok'
     ORDER BY t.pos;

    SELECT t.video_id,
           t.state,
           t.at
      FROM slot_fence AS f
     STRAIGHT_JOIN favorite AS t
        ON t.slot = f.slot
       AND t.user_id = in_id
     WHERE f.slot = v_slot
       AND f.answer = 'ok'
     ORDER BY t.ver;

    SELECT t.video_id,
           t.comment_id,
           t.state,
           t.at
      FROM slot_fence AS f
     STRAIGHT_JOIN commented AS t
        ON t.slot = f.slot
       AND t.user_id = in_id
     WHERE f.slot = v_slot
       AND f.answer = 'ok'
     ORDER BY t.video_id,
              t.comment_id;

    SELECT t.peer_id,
           t.message_id,
           t.sent,
           t.seq,
           t.at,
           t.state,
           t.text
      FROM slot_fence AS f
     STRAIGHT_JOIN message AS t
        ON t.slot = f.slot
       AND t.user_id = in_id
     WHERE f.slot = v_slot
       AND f.answer = 'ok'
     ORDER BY t.peer_id,
              t.at;

    COMMIT;
END$$

DELIMITER ;
