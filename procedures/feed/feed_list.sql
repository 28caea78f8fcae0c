-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- feed_list: the newest live videos of the slots that this shard serves, with the cards of
-- their authors.
--
-- in_before  only those published before this time, ms since the Unix epoch; 0: no bound
-- in_limit   how many videos, 1 to 65536 (no more can have the same time, since times are
--            unique within a slot)
--
-- First result: the newest, in_limit at most. When there are as many, others of the time of
-- the last one may be missing. Second result: the generation of the fences, which says (see
-- slot_map) for which slots that is complete. Both are of one snapshot, so that a slot that
-- changes its owner meanwhile is covered by one shard, or by none and asked for again.
--
-- Answer  : slot, video_id, user_id, name, avatar, background_image, signature,
--           follow_count, follower_count, total_favorited, work_count, favorite_count, ver,
--           in_ver, title, media, video_favorite_count, comment_count, published_at, video_ver
-- Answer 2: gen
-- Touches : SELECT video (by state and published_at, backwards), slot_fence (by slot),
--           owner_home, user, inbound (by slot and user_id), slot_gen, in one snapshot
-- Errors  : 45400 an argument is NULL or out of range
-- Replays : reads only

DROP PROCEDURE IF EXISTS feed_list;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE feed_list (
    IN in_before BIGINT,
    IN in_limit  INT
)
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v2: the newest videos of this shard'
BEGIN
    DECLARE v_before BIGINT DEFAULT IF(in_before = 0, 9223372036854775807, in_before);

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    IF NOT COALESCE(in_before >= 0 AND in_limit BETWEEN 1 AND 65536, FALSE) THEN
        SIGNAL SQLSTATE '45400' SET MESSAGE_TEXT = 'feed_list needs before and limit 1 to 65536';
    END IF;

    SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;
    START TRANSACTION WITH CONSISTENT SNAPSHOT;

    SELECT v.slot,
           v.video_id,
           u.user_id,
           u.name,
           u.avatar,
           u.background_image,
           u.signature,
           u.follow_count,
           i.follower_count,
           i.total_favorited,
           u.work_count,
           u.favorite_count,
           GREATEST(u.ver, f.epoch << 33) AS ver,
           GREATEST(i.ver, f.epoch << 33) AS in_ver,
           v.title,
           v.media,
           v.favorite_count AS video_favorite_count,
           v.comment_count,
           v.published_at,
           GREATEST(v.ver, f.epoch << 33) AS video_ver
      FROM video AS v FORCE INDEX (feed)
     STRAIGHT_JOIN slot_fence AS f FORCE INDEX (PRIMARY)
        ON f.slot = v.slot
       AND f.answer = 'ok'
     STRAIGHT_JOIN user AS u FORCE INDEX (PRIMARY)
        ON u.slot = v.slot
       AND u.user_id = v.author_id
       AND u.state = 'live'
     STRAIGHT_JOIN inbound AS i FORCE INDEX (PRIMARY)
        ON i.slot = u.slot
       AND i.user_id = u.user_id
      LEFT JOIN owner_home AS h FORCE INDEX (PRIMARY)
        ON h.slot = IF(f.has_home = 1, v.slot, NULL)
       AND h.owner_id = v.author_id
     WHERE v.state = 'live'
       AND v.published_at < v_before
       AND h.owner_id IS NULL
     ORDER BY v.published_at DESC,
              v.video_id DESC
     LIMIT in_limit;

    SELECT CAST(COALESCE(MAX(g.gen), 0) AS UNSIGNED) AS gen
      FROM slot_gen AS g;

    COMMIT;
END$$

DELIMITER ;
