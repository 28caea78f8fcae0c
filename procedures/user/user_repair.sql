-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- user_repair: correct the counters of a user and of his live videos from their rows.
--
-- in_id  user, live or not
--
-- A counter and its rows change in one transaction, so its error stays the same whatever happens
-- meanwhile. The error is found without a lock, each counter and its rows in one snapshot, and then
-- added: so nothing waits, however many rows there are. One repair of a user at a time. The last
-- numbers that were given to edges and messages are raised to those of the rows. At most 10000
-- videos that are off at once: call it again.
--
-- Answer  : n, code, slot, epoch, server, users, videos (rows that were changed)
-- Codes   : ok same (nothing was off) busy (somebody else repairs this user) notfound (no such
--           user) moved notready
-- Touches : SELECT slot_fence (by slot); SELECT, UPDATE user, inbound, video (by slot and id);
--           SELECT follow, follower,
--           favorite,
--           liker, comment, message (by slot and owner); journal; the lock 'doushard-repair:' + id
-- Errors  : 45400 no id
-- Replays : same

DROP PROCEDURE IF EXISTS user_repair;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE user_repair (
    IN in_id BIGINT UNSIGNED
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: set the counters of a user right'
BEGIN
    DECLARE v_ops          JSON;
    DECLARE v_slot         INT UNSIGNED;
    DECLARE v_epoch        BIGINT UNSIGNED;
    DECLARE v_floor        BIGINT UNSIGNED;
    DECLARE v_moving       TINYINT;
    DECLARE v_is_ours      TINYINT;
    DECLARE v_follows      BIGINT;
    DECLARE v_favorites    BIGINT;
    DECLARE v_works        BIGINT;
    DECLARE v_followers    BIGINT;
    DECLARE v_likes        BIGINT;
    DECLARE v_edge_ver     BIGINT UNSIGNED;
    DECLARE v_follower_ver BIGINT UNSIGNED;
    DECLARE v_message_last BIGINT;
    DECLARE v_users        INT DEFAULT 0;
    DECLARE v_videos       INT DEFAULT 0;

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        DO RELEASE_LOCK(CONCAT('doushard-repair:', COALESCE(in_id, 0)));
        RESIGNAL;
    END;

    IF NOT COALESCE(in_id BETWEEN 1 AND 9007199254740991, FALSE) THEN
        SIGNAL SQLSTATE '45400' SET MESSAGE_TEXT = 'user_repair needs the id of a user';
    END IF;

    SET v_ops = _op_home(in_id);

    CALL _op_open(v_ops);

    SELECT MAX(o.slot)
      INTO v_slot
      FROM op AS o;

    SET v_is_ours = COALESCE(GET_LOCK(CONCAT('doushard-repair:', in_id), 0), 0);

    -- While the slot is arriving here not all rows are there to count.
    SELECT MAX(f.epoch)
      INTO v_epoch
      FROM slot_fence AS f
     WHERE f.slot = v_slot
       AND f.answer = 'ok';

    -- How far the counters are off, each with its rows in the snapshot of one statement.
    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    SELECT (SELECT COUNT(*)
              FROM follow AS t FORCE INDEX (newest)
             WHERE t.slot = u.slot
               AND t.user_id = u.user_id
               AND t.state = 1) - u.follow_count,
           (SELECT COUNT(*)
              FROM favorite AS t FORCE INDEX (newest)
             WHERE t.slot = u.slot
               AND t.user_id = u.user_id
               AND t.state = 1) - u.favorite_count,
           (SELECT COUNT(*)
              FROM video AS t FORCE INDEX (author)
             WHERE t.slot = u.slot
               AND t.author_id = u.user_id
               AND t.state = 'live') - u.work_count,
           (SELECT COUNT(*)
              FROM follower AS t FORCE INDEX (newest)
             WHERE t.slot = u.slot
               AND t.user_id = u.user_id
               AND t.state = 1) - i.follower_count,
           (SELECT COALESCE(SUM(t.favorite_count), 0)
              FROM video AS t FORCE INDEX (author)
             WHERE t.slot = u.slot
               AND t.author_id = u.user_id
               AND t.state = 'live') - i.total_favorited
      INTO v_follows,
           v_favorites,
           v_works,
           v_followers,
           v_likes
      FROM user AS u FORCE INDEX (PRIMARY)
     STRAIGHT_JOIN inbound AS i FORCE INDEX (PRIMARY)
        ON i.slot = u.slot
       AND i.user_id = u.user_id
     WHERE u.slot = v_slot
       AND u.user_id = in_id;

    DELETE FROM op_drift;

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    INSERT INTO op_drift (video_id, likes, comments, last)
    SELECT d.video_id,
           d.likes,
           d.comments,
           d.last
      FROM (SELECT v.video_id,
                   v.comment_last,
                   (SELECT COUNT(*)
                      FROM liker AS t FORCE INDEX (PRIMARY)
                     WHERE t.slot = v.slot
                       AND t.video_id = v.video_id
                       AND t.state = 1) - v.favorite_count AS likes,
                   (SELECT COUNT(*)
                      FROM comment AS t FORCE INDEX (newest)
                     WHERE t.slot = v.slot
                       AND t.video_id = v.video_id
                       AND t.state = 'live') - v.comment_count AS comments,
                   COALESCE((SELECT t.comment_id DIV 8192 * 8 + t.comment_id MOD 8
                               FROM comment AS t FORCE INDEX (PRIMARY)
                              WHERE t.slot = v.slot
                                AND t.video_id = v.video_id
                              ORDER BY t.comment_id DESC
                              LIMIT 1), 0) AS last
              FROM video AS v FORCE INDEX (author)
             WHERE v.slot = v_slot
               AND v.author_id = in_id
               AND v.state = 'live') AS d
     WHERE d.likes <> 0
        OR d.comments <> 0
        OR d.last > d.comment_last
     LIMIT 10000;

    SET v_edge_ver = GREATEST(COALESCE((SELECT MAX(t.ver)
                                          FROM follow AS t FORCE INDEX (newest)
                                         WHERE t.slot = v_slot
                                           AND t.user_id = in_id), 0),
                              COALESCE((SELECT MAX(t.ver)
                                          FROM favorite AS t FORCE INDEX (newest)
                                         WHERE t.slot = v_slot
                                           AND t.user_id = in_id), 0));

    SET v_follower_ver = COALESCE((SELECT MAX(t.pos)
                                     FROM follower AS t FORCE INDEX (newest)
                                    WHERE t.slot = v_slot
                                      AND t.user_id = in_id), 0);

    -- The number of an id, without the bits of its slot; received ones are others' ids.
    SET v_message_last = COALESCE((SELECT MAX(t.message_id DIV 8192 * 8 + t.message_id MOD 8)
                                     FROM message AS t FORCE INDEX (PRIMARY)
                                    WHERE t.slot = v_slot
                                      AND t.user_id = in_id
                                      AND t.sent = 1), 0);

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    CALL _op_fence(v_moving);

    UPDATE op AS o
       SET o.code = CASE WHEN v_is_ours = 0
                         THEN 'busy'
                         WHEN NOT COALESCE(o.epoch = v_epoch, FALSE)
                         THEN 'notready'
                         WHEN v_follows IS NULL
                         THEN 'notfound'
                         ELSE 'ok'
                    END
     WHERE o.code = 'ok';

    CALL _op_user_lock();

    SELECT MAX(IF(o.code = 'ok', o.slot, NULL)),
           MAX(o.epoch) << 33
      INTO v_slot,
           v_floor
      FROM op AS o;

    -- Only videos that are still live: the likes of others are not in the total.
    UPDATE op_drift AS d
     STRAIGHT_JOIN video AS v FORCE INDEX (PRIMARY)
        ON v.slot = v_slot
       AND v.video_id = d.video_id
       SET v.favorite_count = v.favorite_count + d.likes,
           v.comment_count  = v.comment_count + d.comments,
           v.comment_last   = GREATEST(v.comment_last, d.last),
           v.ver            = GREATEST(v.ver, v_floor) + 1,
           v.comment_ver    = GREATEST(v.comment_ver, v_floor) + 1
     WHERE v.state = 'live';

    SET v_videos = ROW_COUNT();

    IF v_videos > 0 THEN
        SET v_likes = v_likes + (SELECT COALESCE(SUM(d.likes), 0)
                                   FROM op_drift AS d
                                  STRAIGHT_JOIN video AS v FORCE INDEX (PRIMARY)
                                     ON v.slot = v_slot
                                    AND v.video_id = d.video_id
                                    AND v.state = 'live');
    END IF;

    UPDATE user AS u
       SET u.follow_count   = u.follow_count + v_follows,
           u.favorite_count = u.favorite_count + v_favorites,
           u.work_count     = u.work_count + v_works,
           u.edge_ver       = GREATEST(u.edge_ver, v_edge_ver, v_floor),
           u.message_last   = GREATEST(u.message_last, v_message_last),
           u.ver            = GREATEST(u.ver, v_floor) + 1
     WHERE u.slot = v_slot
       AND u.user_id = in_id
       AND (v_follows <> 0
            OR v_favorites <> 0
            OR v_works <> 0
            OR u.edge_ver < v_edge_ver
            OR u.message_last < v_message_last);

    SET v_users = ROW_COUNT();

    UPDATE inbound AS i
       SET i.follower_count  = i.follower_count + v_followers,
           i.total_favorited = i.total_favorited + v_likes,
           i.follower_ver    = GREATEST(i.follower_ver, v_follower_ver, v_floor),
           i.ver             = GREATEST(i.ver, v_floor) + 1
     WHERE i.slot = v_slot
       AND i.user_id = in_id
       AND (v_followers <> 0
            OR v_likes <> 0
            OR i.follower_ver < v_follower_ver);

    SET v_users = GREATEST(v_users, ROW_COUNT());

    UPDATE op AS o
       SET o.code = 'same'
     WHERE o.code = 'ok'
       AND v_users + v_videos = 0;

    CALL _slot_log_add(v_moving, v_slot, 'user', in_id,
                       in_id, NULL, NULL, NULL, NULL);
    CALL _slot_log_add(v_moving, v_slot, 'inbound', in_id,
                       in_id, NULL, NULL, NULL, NULL);

    INSERT INTO slot_log (slot, tbl, owner, k1)
    SELECT v_slot,
           'video',
           in_id,
           d.video_id
      FROM op_drift AS d
     WHERE v_moving = 1;

    COMMIT;

    DO RELEASE_LOCK(CONCAT('doushard-repair:', in_id));

    SELECT o.n,
           o.code,
           o.slot,
           o.epoch,
           o.server,
           IF(o.code IN ('ok', 'same'), v_users, NULL) AS users,
           IF(o.code IN ('ok', 'same'), v_videos, NULL) AS videos
      FROM op AS o;
END$$

DELIMITER ;
