-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- user_repair: set the counters of a user and his videos to what their rows say.
--
-- in_id  user
--
-- Under the locks that every change of those rows takes, so that it may run at any time.
-- Writes nothing when all counters are right. edge_ver, message_last and comment_last, the
-- last numbers given, are raised to the highest one that a row has, and never lowered: the
-- second row of a number would be taken for an old one.
--
-- Answer  : n, code, slot, epoch, server, users, videos (rows whose counters were wrong)
-- Codes   : ok same (all were right) notfound (no such user) moved notready
-- Touches : SELECT, UPDATE user, video (by slot and owner); SELECT follow, follower, favorite,
--           liker, comment, message (by slot and owner); journal
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
    DECLARE v_moving       TINYINT;
    DECLARE v_count        INT;
    DECLARE v_users        INT DEFAULT 0;
    DECLARE v_videos       INT DEFAULT 0;
    DECLARE v_edge_ver     BIGINT UNSIGNED;
    DECLARE v_message_last BIGINT;

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    IF NOT COALESCE(in_id BETWEEN 1 AND 9007199254740991, FALSE) THEN
        SIGNAL SQLSTATE '45400' SET MESSAGE_TEXT = 'user_repair needs the id of a user';
    END IF;

    SET v_ops = _op_home(in_id);

    CALL _op_open(v_ops);

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    CALL _op_fence();
    CALL _op_user_hold();

    SELECT MAX(u.slot),
           MAX(o.moving)
      INTO v_slot,
           v_moving
      FROM op AS o
     STRAIGHT_JOIN user AS u FORCE INDEX (PRIMARY)
        ON u.slot = o.slot
       AND u.user_id = o.owner
     WHERE o.code = 'ok';

    UPDATE op AS o
       SET o.code = 'notfound'
     WHERE o.code = 'ok'
       AND v_slot IS NULL;

    SELECT COUNT(*)
      INTO v_count
      FROM (SELECT v.video_id
              FROM video AS v FORCE INDEX (author)
             WHERE v.slot = v_slot
               AND v.author_id = in_id
             ORDER BY v.video_id
             LIMIT 1000000) AS w
     STRAIGHT_JOIN video AS v FORCE INDEX (PRIMARY)
        ON v.slot = v_slot
       AND v.video_id = w.video_id
       FOR UPDATE;

    -- Videos first: their likes are in the total of the user. ver rises only with a counter,
    -- for it is set before them, from what they were.
    UPDATE video AS v
       SET v.ver = v.ver + 1
     WHERE v.slot = v_slot
       AND v.author_id = in_id
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
                                      AND t.state = 'live')
            OR v.comment_last < (SELECT t.comment_id DIV 8192 * 8 + t.comment_id MOD 8
                                   FROM comment AS t FORCE INDEX (PRIMARY)
                                  WHERE t.slot = v.slot
                                    AND t.video_id = v.video_id
                                  ORDER BY t.comment_id DESC
                                  LIMIT 1));

    SET v_videos = ROW_COUNT();

    IF v_videos > 0 THEN
        UPDATE video AS v
           SET v.favorite_count = (SELECT COUNT(*)
                                     FROM liker AS t FORCE INDEX (PRIMARY)
                                    WHERE t.slot = v.slot
                                      AND t.video_id = v.video_id
                                      AND t.state = 1),
               v.comment_count  = (SELECT COUNT(*)
                                     FROM comment AS t FORCE INDEX (newest)
                                    WHERE t.slot = v.slot
                                      AND t.video_id = v.video_id
                                      AND t.state = 'live'),
               v.comment_last   = GREATEST(v.comment_last,
                                           COALESCE((SELECT t.comment_id DIV 8192 * 8
                                                            + t.comment_id MOD 8
                                                       FROM comment AS t FORCE INDEX (PRIMARY)
                                                      WHERE t.slot = v.slot
                                                        AND t.video_id = v.video_id
                                                      ORDER BY t.comment_id DESC
                                                      LIMIT 1), 0))
         WHERE v.slot = v_slot
           AND v.author_id = in_id
           AND v.state = 'live';
    END IF;

    SET v_edge_ver = GREATEST(COALESCE((SELECT MAX(t.ver)
                                          FROM follow AS t FORCE INDEX (newest)
                                         WHERE t.slot = v_slot
                                           AND t.user_id = in_id), 0),
                              COALESCE((SELECT MAX(t.pos)
                                          FROM follower AS t FORCE INDEX (newest)
                                         WHERE t.slot = v_slot
                                           AND t.user_id = in_id), 0),
                              COALESCE((SELECT MAX(t.ver)
                                          FROM favorite AS t FORCE INDEX (newest)
                                         WHERE t.slot = v_slot
                                           AND t.user_id = in_id), 0));

    -- The number of an id, without the bits of its slot; received ones are others' ids.
    SET v_message_last = COALESCE((SELECT MAX(t.message_id DIV 8192 * 8 + t.message_id MOD 8)
                                     FROM message AS t FORCE INDEX (PRIMARY)
                                    WHERE t.slot = v_slot
                                      AND t.user_id = in_id
                                      AND t.sent = 1), 0);

    UPDATE user AS u
       SET u.ver = u.ver + 1
     WHERE u.slot = v_slot
       AND u.user_id = in_id
       AND (u.follow_count <> (SELECT COUNT(*)
                                  FROM follow AS t FORCE INDEX (newest)
                                 WHERE t.slot = u.slot
                                   AND t.user_id = u.user_id
                                   AND t.state = 1)
            OR u.follower_count <> (SELECT COUNT(*)
                                    FROM follower AS t FORCE INDEX (newest)
                                   WHERE t.slot = u.slot
                                     AND t.user_id = u.user_id
                                     AND t.state = 1)
            OR u.favorite_count <> (SELECT COUNT(*)
                                    FROM favorite AS t FORCE INDEX (newest)
                                   WHERE t.slot = u.slot
                                     AND t.user_id = u.user_id
                                     AND t.state = 1)
            OR u.work_count <> (SELECT COUNT(*)
                                FROM video AS t FORCE INDEX (author)
                               WHERE t.slot = u.slot
                                 AND t.author_id = u.user_id
                                 AND t.state = 'live')
            OR u.total_favorited <> (SELECT COALESCE(SUM(t.favorite_count), 0)
                                     FROM video AS t FORCE INDEX (author)
                                    WHERE t.slot = u.slot
                                      AND t.author_id = u.user_id
                                      AND t.state = 'live')
            OR u.edge_ver < v_edge_ver
            OR u.message_last < v_message_last);

    SET v_users = ROW_COUNT();

    IF v_users > 0 THEN
        UPDATE user AS u
           SET u.follow_count    = (SELECT COUNT(*)
                                      FROM follow AS t FORCE INDEX (newest)
                                     WHERE t.slot = u.slot
                                       AND t.user_id = u.user_id
                                       AND t.state = 1),
               u.follower_count  = (SELECT COUNT(*)
                                      FROM follower AS t FORCE INDEX (newest)
                                     WHERE t.slot = u.slot
                                       AND t.user_id = u.user_id
                                       AND t.state = 1),
               u.favorite_count  = (SELECT COUNT(*)
                                      FROM favorite AS t FORCE INDEX (newest)
                                     WHERE t.slot = u.slot
                                       AND t.user_id = u.user_id
                                       AND t.state = 1),
               u.work_count      = (SELECT COUNT(*)
                                      FROM video AS t FORCE INDEX (author)
                                     WHERE t.slot = u.slot
                                       AND t.author_id = u.user_id
                                       AND t.state = 'live'),
               u.total_favorited = (SELECT COALESCE(SUM(t.favorite_count), 0)
                                      FROM video AS t FORCE INDEX (author)
                                     WHERE t.slot = u.slot
                                       AND t.author_id = u.user_id
                                       AND t.state = 'live'),
               u.edge_ver        = GREATEST(u.edge_ver, v_edge_ver),
               u.message_last    = GREATEST(u.message_last, v_message_last)
         WHERE u.slot = v_slot
           AND u.user_id = in_id;
    END IF;

    UPDATE op AS o
       SET o.code = 'same'
     WHERE o.code = 'ok'
       AND v_users + v_videos = 0;

    IF v_users + v_videos > 0 THEN
        CALL _slot_log_add(v_moving, v_slot, 'user', in_id,
                           in_id, NULL, NULL, NULL, NULL);

        -- Every video of his: which ones were wrong is not known any more.
        INSERT INTO slot_log (slot, tbl, owner, k1)
        SELECT v.slot,
               'video',
               v.author_id,
               v.video_id
          FROM video AS v FORCE INDEX (author)
         WHERE v.slot = v_slot
           AND v.author_id = in_id
           AND v_moving = 1;
    END IF;

    COMMIT;

    SELECT o.n,
           o.code,
           o.slot,
           o.epoch,
           o.server,
           IF(o.code IN ('ok', 'same'), v_users, NULL) AS users,
           IF(o.code IN ('ok', 'same'), v_videos, NULL) AS videos
      FROM op AS o
     ORDER BY o.n;
END$$

DELIMITER ;
