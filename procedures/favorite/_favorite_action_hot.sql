-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _favorite_action_hot: favorite_action for many operations on one video on this shard, at slots
-- that are not moving.
--
-- in_ops    the batch
-- out_done  1: done and answered; 0: nothing was done, it is for _favorite_action_batch: it is
--           not all about one video, not as servers write it, malformed, or a fence needs a closer
--           look
--
-- Used for popular videos where both halves are made in one transaction. The same as the batch,
-- with the video and its author in variables. At the end op.id and op.prev say what the second half
-- was, and whether it was made.
--
-- Touches : SELECT slot_fence (by slot, share lock); SELECT, UPDATE user, video, inbound (by slot
--           and id); SELECT, INSERT, UPDATE favorite (by slot, user_id, video_id), liker (by slot,
--           video_id, user_id); SELECT, DELETE outbox (by key)
-- Errors  : 45400 too many bytes
-- Replays : as favorite_action

DROP PROCEDURE IF EXISTS _favorite_action_hot;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _favorite_action_hot (
    IN  in_ops   JSON,
    OUT out_done TINYINT
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: like and unlike one video'
BEGIN
    DECLARE v_bytes           BIGINT;
    DECLARE v_first           VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
    DECLARE v_count           INT;
    DECLARE v_owners          INT;
    DECLARE v_is_known        TINYINT;
    DECLARE v_is_one          TINYINT;
    DECLARE v_now             BIGINT;
    DECLARE v_made            TINYINT;
    DECLARE v_older           INT;
    DECLARE v_change          BIGINT;
    DECLARE v_target          BIGINT UNSIGNED;
    DECLARE v_target_slot     INT UNSIGNED;
    DECLARE v_target_epoch    BIGINT UNSIGNED;
    DECLARE v_floor           BIGINT UNSIGNED;
    DECLARE v_author_id       BIGINT UNSIGNED;
    DECLARE v_title           VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
    DECLARE v_media           VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin;
    DECLARE v_state           VARCHAR(8) CHARACTER SET ascii COLLATE ascii_bin;
    DECLARE v_favorite_count  BIGINT;
    DECLARE v_comment_count   BIGINT;
    DECLARE v_published_at    BIGINT;
    DECLARE v_ver             BIGINT UNSIGNED;
    DECLARE v_comment_ver     BIGINT UNSIGNED;
    DECLARE v_author_state    VARCHAR(8) CHARACTER SET ascii COLLATE ascii_bin;
    DECLARE v_follower_count  BIGINT;
    DECLARE v_total_favorited BIGINT;
    DECLARE v_in_ver          BIGINT UNSIGNED;
    DECLARE v_follower_ver    BIGINT UNSIGNED;
    DECLARE v_in_mail_ver     BIGINT UNSIGNED;

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        CALL _op_size(in_ops);
        RESIGNAL;
    END;

    SET out_done = 0;

    -- The beginnings of the first operation and of the last.
    SET v_first = SUBSTRING(in_ops, 2, 40);
    SET v_first = LEFT(v_first, LOCATE(',', v_first));
    IF v_first REGEXP '^\\{"target":[0-9]{1,18},$'
       AND LOCATE('"target_slot":', LEFT(in_ops, 100)) > 0
       AND LEFT(SUBSTRING_INDEX(in_ops, '{', -1), CHAR_LENGTH(v_first) - 1)
           = SUBSTRING(v_first, 2) THEN
        SET v_bytes = LENGTH(in_ops);
        CALL _op_clear(v_bytes);

        INSERT INTO op (n, slot, epoch, owner, user_id, kind, target, state, id, prev)
        SELECT j.n,
               j.slot,
               j.epoch,
               j.owner,
               j.owner,
               'favorite',
               j.target,
               j.state,
               COALESCE(j.target_slot, 0),
               COALESCE(j.target_epoch, 0)
          FROM JSON_TABLE(in_ops, '$[*]' COLUMNS (
                   n            FOR ORDINALITY,
                   slot         INT UNSIGNED PATH '$.slot',
                   epoch        BIGINT UNSIGNED PATH '$.epoch',
                   owner        BIGINT UNSIGNED PATH '$.owner',
                   target       BIGINT UNSIGNED PATH '$.target',
                   state        TINYINT PATH '$.state',
                   target_slot  INT UNSIGNED PATH '$.target_slot',
                   target_epoch BIGINT UNSIGNED PATH '$.target_epoch'
               )) AS j
         WHERE j.slot IS NOT NULL
           AND j.epoch IS NOT NULL
           AND j.owner > 0
           AND j.target > 0
           AND j.target <> j.owner
           AND j.state IN (0, 1);

        -- The form in which a server writes it (_op_clear), all for one video.
        SELECT COUNT(*),
               COUNT(DISTINCT o.slot, o.owner),
               MIN(o.target),
               MIN(o.id),
               MIN(o.prev),
               MIN(o.target) = MAX(o.target)
                   AND MIN(o.id) = MAX(o.id)
                   AND MIN(o.prev) = MAX(o.prev),
               CONCAT('[', GROUP_CONCAT('{"target":', o.target,
                                           ',"state":', o.state,
                                           ',"target_slot":', o.id,
                                           ',"target_epoch":', o.prev,
                                           ',"slot":', o.slot,
                                           ',"epoch":', o.epoch,
                                           ',"owner":', o.owner, '}'
                                        ORDER BY o.slot, o.owner, o.n), ']') = in_ops
          INTO v_count,
               v_owners,
               v_target,
               v_target_slot,
               v_target_epoch,
               v_is_one,
               v_is_known
          FROM op AS o;
    END IF;

    IF v_count BETWEEN 1 AND 256
       AND v_owners = v_count
       AND v_is_one
       AND v_is_known THEN
        SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
        START TRANSACTION;

        SELECT MIN(COALESCE(f.answer = 'ok'
                            AND f.epoch = w.epoch
                            AND f.has_home = 0
                            AND f.state <> 'migrating'
                            AND f.journal = 0, 0))
          INTO out_done
          FROM (SELECT DISTINCT
                       IF(s.side = 0, o.slot, o.id) AS slot,
                       IF(s.side = 0, o.epoch, o.prev) AS epoch
                  FROM op AS o
                 STRAIGHT_JOIN (SELECT 0 AS side UNION ALL SELECT 1 AS side) AS s
                 ORDER BY slot
                 LIMIT 512) AS w
          LEFT JOIN slot_fence AS f FORCE INDEX (PRIMARY)
            ON f.slot = w.slot
          LOCK IN SHARE MODE;

        IF out_done THEN
            CALL _op_user_lock();

            SET v_now   = _now_ms(),
                v_floor = v_target_epoch << 33;

            -- The present edges. A missing one counts as a tombstone.
            UPDATE op AS o
              LEFT JOIN op_user AS m
                ON m.slot = o.slot
               AND m.user_id = o.owner
               AND m.state = 'live'
              LEFT JOIN favorite AS e FORCE INDEX (PRIMARY)
                ON e.slot = m.slot
               AND e.user_id = m.user_id
               AND e.video_id = o.target
              LEFT JOIN outbox AS x FORCE INDEX (PRIMARY)
                ON x.slot = IF(o.state = e.state, e.slot, NULL)
               AND x.actor_id = o.owner
               AND x.kind = o.kind
               AND x.target_id = o.target
               AND x.seq = 0
               AND x.ver = e.ver
               SET o.code    = CASE WHEN m.user_id IS NULL
                                    THEN 'notfound'
                                    WHEN o.state = COALESCE(e.state, 0)
                                    THEN 'same'
                                    ELSE 'ok'
                               END,
                   o.was     = COALESCE(e.state, 0),
                   o.ver     = IF(o.state = COALESCE(e.state, 0),
                                  COALESCE(e.ver, 0),
                                  GREATEST(COALESCE(m.edge_ver, 0), o.epoch << 33) + o.place),
                   o.at      = IF(o.state = COALESCE(e.state, 0), COALESCE(e.at, 0), v_now),
                   o.pending = o.state = COALESCE(e.state, 0) AND x.ver IS NOT NULL
             WHERE o.code = 'ok';

            -- If nothing changes the video is not locked.
            SELECT v.author_id,
                   v.title,
                   v.media,
                   v.state,
                   v.favorite_count,
                   v.comment_count,
                   v.published_at,
                   v.ver,
                   v.comment_ver,
                   i.state,
                   i.follower_count,
                   i.total_favorited,
                   i.ver,
                   i.follower_ver,
                   i.mail_ver
              INTO v_author_id,
                   v_title,
                   v_media,
                   v_state,
                   v_favorite_count,
                   v_comment_count,
                   v_published_at,
                   v_ver,
                   v_comment_ver,
                   v_author_state,
                   v_follower_count,
                   v_total_favorited,
                   v_in_ver,
                   v_follower_ver,
                   v_in_mail_ver
              FROM (SELECT MAX(o.code = 'ok') AS changes
                      FROM op AS o) AS w
             STRAIGHT_JOIN video AS v FORCE INDEX (PRIMARY)
                ON v.slot = v_target_slot
               AND v.video_id = v_target
              LEFT JOIN inbound AS i FORCE INDEX (PRIMARY)
                ON i.slot = v.slot
               AND i.user_id = v.author_id
               AND v.state = 'live'
             WHERE w.changes = 1
               FOR UPDATE;

            -- An unlike of a video that is gone has nothing to take away: it is done.
            IF COALESCE(v_author_state = 'erased', TRUE) THEN
                UPDATE op AS o
                   SET o.code = IF(o.state = 1, 'notfound', 'ok'),
                       o.prev = 0
                 WHERE o.code = 'ok';
            ELSE
                UPDATE op AS o
                  LEFT JOIN liker AS e FORCE INDEX (PRIMARY)
                    ON e.slot = v_target_slot
                   AND e.video_id = v_target
                   AND e.user_id = o.owner
                   SET o.id   = COALESCE(e.state, 0),
                       o.prev = o.ver > COALESCE(e.ver, 0)
                 WHERE o.code = 'ok';
            END IF;

            INSERT INTO favorite (slot, user_id, video_id, state, ver, at)
            SELECT o.slot,
                   o.owner,
                   o.target,
                   o.state,
                   o.ver,
                   o.at
              FROM op AS o
             WHERE o.code = 'ok'
                ON DUPLICATE KEY UPDATE state = VALUES(state),
                                        ver   = VALUES(ver),
                                        at    = VALUES(at);

            UPDATE op AS o
             STRAIGHT_JOIN op_user AS m
                ON m.slot = o.slot
               AND m.user_id = o.owner
             STRAIGHT_JOIN user AS u FORCE INDEX (PRIMARY)
                ON u.slot = o.slot
               AND u.user_id = o.owner
               SET m.favorite_count = m.favorite_count + o.state - o.was,
                   u.favorite_count = u.favorite_count + o.state - o.was,
                   m.ver            = GREATEST(m.ver, o.epoch << 33) + 1,
                   u.ver            = GREATEST(u.ver, o.epoch << 33) + 1,
                   m.edge_ver       = GREATEST(m.edge_ver, o.epoch << 33) + 1,
                   u.edge_ver       = GREATEST(u.edge_ver, o.epoch << 33) + 1
             WHERE o.code = 'ok';

            INSERT INTO liker (slot, video_id, user_id, state, ver, at)
            SELECT v_target_slot,
                   v_target,
                   o.owner,
                   o.state,
                   o.ver,
                   o.at
              FROM op AS o
             WHERE o.code = 'ok'
               AND o.prev = 1
                ON DUPLICATE KEY UPDATE state = VALUES(state),
                                        ver   = VALUES(ver),
                                        at    = VALUES(at);

            SELECT MAX(o.prev),
                   SUM(IF(o.prev = 1, o.state - CAST(o.id AS SIGNED), 0)),
                   COUNT(x.ver)
              INTO v_made,
                   v_change,
                   v_older
              FROM op AS o
              LEFT JOIN outbox AS x FORCE INDEX (PRIMARY)
                ON x.slot = o.slot
               AND x.actor_id = o.owner
               AND x.kind = o.kind
               AND x.target_id = v_target
               AND x.seq = 0
             WHERE o.code = 'ok';
        END IF;

        IF v_made THEN
            SET v_favorite_count  = v_favorite_count + v_change,
                v_ver             = GREATEST(v_ver, v_floor) + 1,
                v_total_favorited = v_total_favorited + v_change,
                v_in_ver          = GREATEST(v_in_ver, v_floor) + 1;

            UPDATE video AS v
               SET v.favorite_count = v_favorite_count,
                   v.ver            = v_ver
             WHERE v.slot = v_target_slot
               AND v.video_id = v_target;

            UPDATE inbound AS i
               SET i.total_favorited = v_total_favorited,
                   i.ver             = v_in_ver
             WHERE i.slot = v_target_slot
               AND i.user_id = v_author_id;
        END IF;

        -- Outbox rows of an older version have nothing left to deliver.
        IF v_older THEN
            DELETE x
              FROM op AS o
             STRAIGHT_JOIN outbox AS x FORCE INDEX (PRIMARY)
                ON x.slot = o.slot
               AND x.actor_id = o.owner
               AND x.kind = o.kind
               AND x.target_id = o.target
               AND x.seq = 0
             WHERE o.code = 'ok';
        END IF;

        COMMIT;
    END IF;

    IF out_done THEN
        SELECT o.n,
               o.code,
               o.slot,
               o.epoch,
               o.server,
               IF(o.code IN ('ok', 'same'), o.ver, NULL) AS ver,
               IF(o.code IN ('ok', 'same'), o.at, NULL) AS at,
               IF(o.code IN ('ok', 'same'), o.pending, NULL) AS pending
          FROM op AS o;

        SELECT m.user_id,
               m.name,
               m.avatar,
               m.background_image,
               m.signature,
               m.follow_count,
               m.work_count,
               m.favorite_count,
               m.ver,
               m.edge_ver,
               m.mail_ver
          FROM op_user AS m
         WHERE m.state <> 'erased';

        SELECT v_target AS video_id,
               v_state = 'live' AS live,
               v_author_id AS author_id,
               v_title AS title,
               v_media AS media,
               v_favorite_count AS favorite_count,
               v_comment_count AS comment_count,
               v_published_at AS published_at,
               v_ver AS ver,
               v_comment_ver AS comment_ver
          FROM DUAL
         WHERE v_state IS NOT NULL;

        SELECT v_author_id AS user_id,
               v_follower_count AS follower_count,
               v_total_favorited AS total_favorited,
               v_in_ver AS in_ver,
               v_follower_ver AS follower_ver,
               v_in_mail_ver AS in_mail_ver
          FROM DUAL
         WHERE v_author_state <> 'erased';
    END IF;
END$$

DELIMITER ;
