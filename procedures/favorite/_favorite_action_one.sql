-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _favorite_action_one: favorite_action for one operation at a slot that is not moving.
--
-- in_ops    the batch
-- out_done  1: done and answered; 0: nothing was done, it is for _favorite_action_batch: there is
--           not one operation, it is malformed, or the fence needs a closer look
--
-- The same as a batch of one in half as many statements: variables instead of session tables.
--
-- Touches : SELECT slot_fence (by slot, share lock); SELECT, UPDATE user (by slot and user_id);
--           SELECT, INSERT, UPDATE favorite (by slot, user_id, video_id); SELECT, INSERT, UPDATE,
--           DELETE outbox (by key); where the video rests here, too: SELECT, UPDATE video, inbound
--           (by slot and id); SELECT, INSERT, UPDATE liker (by slot, video_id, user_id)
-- Errors  : none
-- Replays : as favorite_action

DROP PROCEDURE IF EXISTS _favorite_action_one;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _favorite_action_one (
    IN  in_ops   JSON,
    OUT out_done TINYINT
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: one like or unlike'
BEGIN
    DECLARE v_slot             INT UNSIGNED;
    DECLARE v_epoch            BIGINT UNSIGNED;
    DECLARE v_owner            BIGINT UNSIGNED;
    DECLARE v_target           BIGINT UNSIGNED;
    DECLARE v_to               TINYINT;
    DECLARE v_floor            BIGINT UNSIGNED;
    DECLARE v_code             VARCHAR(12) CHARACTER SET ascii COLLATE ascii_bin;
    DECLARE v_was              TINYINT;
    DECLARE v_edge             BIGINT UNSIGNED;
    DECLARE v_at               BIGINT;
    DECLARE v_pending          TINYINT;
    DECLARE v_state            VARCHAR(8) CHARACTER SET ascii COLLATE ascii_bin;
    DECLARE v_name             VARCHAR(32) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
    DECLARE v_avatar           VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin;
    DECLARE v_background_image VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin;
    DECLARE v_signature        VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
    DECLARE v_follow_count     BIGINT;
    DECLARE v_work_count       BIGINT;
    DECLARE v_favorite_count   BIGINT;
    DECLARE v_ver              BIGINT UNSIGNED;
    DECLARE v_edge_ver         BIGINT UNSIGNED;
    DECLARE v_mail_ver         BIGINT UNSIGNED;
    DECLARE v_target_slot      INT UNSIGNED;
    DECLARE v_target_epoch     BIGINT UNSIGNED;
    DECLARE v_there            TINYINT;
    DECLARE v_there_code       VARCHAR(12) CHARACTER SET ascii COLLATE ascii_bin;
    DECLARE v_there_was        TINYINT;
    DECLARE v_there_floor      BIGINT UNSIGNED;
    DECLARE v_last             BIGINT UNSIGNED;
    DECLARE v_author_id        BIGINT UNSIGNED;
    DECLARE v_title            VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
    DECLARE v_media            VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin;
    DECLARE v_video_state      VARCHAR(8) CHARACTER SET ascii COLLATE ascii_bin;
    DECLARE v_likes            BIGINT;
    DECLARE v_comment_count    BIGINT;
    DECLARE v_published_at     BIGINT;
    DECLARE v_video_ver        BIGINT UNSIGNED;
    DECLARE v_comment_ver      BIGINT UNSIGNED;
    DECLARE v_author_state     VARCHAR(8) CHARACTER SET ascii COLLATE ascii_bin;
    DECLARE v_follower_count   BIGINT;
    DECLARE v_total_favorited  BIGINT;
    DECLARE v_in_ver           BIGINT UNSIGNED;
    DECLARE v_follower_ver     BIGINT UNSIGNED;
    DECLARE v_in_mail_ver      BIGINT UNSIGNED;

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    SET out_done = 0;

    IF JSON_LENGTH(in_ops) = 1 THEN
        SELECT j.slot,
               j.epoch,
               j.owner,
               j.target,
               j.state,
               j.target_slot,
               j.target_epoch
          INTO v_slot,
               v_epoch,
               v_owner,
               v_target,
               v_to,
               v_target_slot,
               v_target_epoch
          FROM JSON_TABLE(in_ops, '$[*]' COLUMNS (
                   slot              INT UNSIGNED PATH '$.slot',
                   slot_text         VARCHAR(24) PATH '$.slot',
                   epoch             BIGINT UNSIGNED PATH '$.epoch',
                   epoch_text        VARCHAR(24) PATH '$.epoch',
                   owner             BIGINT UNSIGNED PATH '$.owner',
                   owner_text        VARCHAR(24) PATH '$.owner',
                   target            BIGINT UNSIGNED PATH '$.target',
                   target_text       VARCHAR(24) PATH '$.target',
                   state             TINYINT PATH '$.state',
                   state_text        VARCHAR(24) PATH '$.state',
                   target_slot       INT UNSIGNED PATH '$.target_slot',
                   target_slot_text  VARCHAR(24) PATH '$.target_slot',
                   target_epoch      BIGINT UNSIGNED PATH '$.target_epoch',
                   target_epoch_text VARCHAR(24) PATH '$.target_epoch'
               )) AS j
         WHERE CONCAT(j.slot, ',', j.epoch, ',', j.owner, ',', j.target, ',', j.state)
               = CONCAT(j.slot_text, ',', j.epoch_text, ',', j.owner_text, ',', j.target_text, ',',
                        j.state_text)
           AND COALESCE(CONCAT(j.target_slot, ',', j.target_epoch), '')
               = CONCAT_WS(',', j.target_slot_text, j.target_epoch_text)
           AND j.owner > 0
           AND j.target > 0
           AND j.target <> j.owner
           AND j.state IN (0, 1);
    END IF;

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    -- Both fences, in the order of slots. The video's fence decides where its half is made.
    SELECT COALESCE(MAX(f.slot = v_slot AND f.epoch = v_epoch), 0),
           MAX(f.slot = v_target_slot AND f.epoch = v_target_epoch),
           v_epoch << 33,
           v_target_epoch << 33
      INTO out_done,
           v_there,
           v_floor,
           v_there_floor
      FROM slot_fence AS f FORCE INDEX (PRIMARY)
     WHERE f.slot IN (v_slot, v_target_slot)
       AND f.answer = 'ok'
       AND f.has_home = 0
       AND f.state <> 'migrating'
       AND f.journal = 0
      LOCK IN SHARE MODE;

    IF out_done THEN
        -- The user row is locked before the edge is read; the video row is not locked if nothing
        -- changes.
        SELECT u.state,
               u.name,
               u.avatar,
               u.background_image,
               u.signature,
               u.follow_count,
               u.work_count,
               u.favorite_count,
               u.ver,
               u.edge_ver,
               u.mail_ver,
               COALESCE(e.state, 0),
               COALESCE(e.ver, 0),
               COALESCE(e.at, 0),
               v.author_id,
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
               i.mail_ver,
               COALESCE(b.state, 0),
               COALESCE(b.ver, 0)
          INTO v_state,
               v_name,
               v_avatar,
               v_background_image,
               v_signature,
               v_follow_count,
               v_work_count,
               v_favorite_count,
               v_ver,
               v_edge_ver,
               v_mail_ver,
               v_was,
               v_edge,
               v_at,
               v_author_id,
               v_title,
               v_media,
               v_video_state,
               v_likes,
               v_comment_count,
               v_published_at,
               v_video_ver,
               v_comment_ver,
               v_author_state,
               v_follower_count,
               v_total_favorited,
               v_in_ver,
               v_follower_ver,
               v_in_mail_ver,
               v_there_was,
               v_last
          FROM user AS u FORCE INDEX (PRIMARY)
          LEFT JOIN favorite AS e FORCE INDEX (PRIMARY)
            ON e.slot = u.slot
           AND e.user_id = u.user_id
           AND e.video_id = v_target
          LEFT JOIN video AS v FORCE INDEX (PRIMARY)
            ON v.slot = IF(v_there AND u.state = 'live' AND v_to <> COALESCE(e.state, 0),
                           v_target_slot, NULL)
           AND v.video_id = v_target
          LEFT JOIN inbound AS i FORCE INDEX (PRIMARY)
            ON i.slot = v.slot
           AND i.user_id = v.author_id
           AND v.state = 'live'
          LEFT JOIN liker AS b FORCE INDEX (PRIMARY)
            ON b.slot = i.slot
           AND b.video_id = v.video_id
           AND b.user_id = u.user_id
         WHERE u.slot = v_slot
           AND u.user_id = v_owner
           FOR UPDATE;

        -- Ask the video. An unlike of a video that is gone has nothing to take away: it is done.
        SET v_there_code = CASE WHEN COALESCE(v_author_state = 'erased', TRUE)
                                THEN 'notfound'
                                ELSE 'ok'
                           END,
            v_code       = CASE WHEN COALESCE(v_state <> 'live', TRUE)
                                THEN 'notfound'
                                WHEN v_to = v_was
                                THEN 'same'
                                WHEN v_there AND v_to = 1 AND v_there_code = 'notfound'
                                THEN 'notfound'
                                ELSE 'ok'
                           END;
    END IF;

    IF v_code = 'ok' THEN
        SET v_at             = _now_ms(),
            v_edge           = GREATEST(v_edge_ver, v_floor) + 1,
            v_pending        = NOT COALESCE(v_there, FALSE),
            v_edge_ver       = v_edge,
            v_ver            = GREATEST(v_ver, v_floor) + 1,
            v_favorite_count = v_favorite_count + v_to - v_was;

        INSERT INTO favorite (slot, user_id, video_id, state, ver, at)
        VALUES (v_slot, v_owner, v_target, v_to, v_edge, v_at)
            ON DUPLICATE KEY UPDATE state = VALUES(state),
                                    ver   = VALUES(ver),
                                    at    = VALUES(at);

        IF v_pending THEN
            INSERT INTO outbox (slot, actor_id, kind, target_id, seq, ver, at, due_at)
            VALUES (v_slot, v_owner, 'favorite', v_target, 0, v_edge, v_at, v_at)
                ON DUPLICATE KEY UPDATE ver      = VALUES(ver),
                                        at       = VALUES(at),
                                        due_at   = VALUES(due_at),
                                        attempts = 0,
                                        parked   = 0;
        ELSE
            -- Outbox rows of an older version have nothing left to deliver.
            DELETE FROM outbox
             WHERE outbox.slot = v_slot
               AND outbox.actor_id = v_owner
               AND outbox.kind = 'favorite'
               AND outbox.target_id = v_target
               AND outbox.seq = 0;
        END IF;

        IF NOT v_pending AND v_there_code = 'ok' AND v_edge > v_last THEN
            SET v_likes           = v_likes + v_to - v_there_was,
                v_video_ver       = GREATEST(v_video_ver, v_there_floor) + 1,
                v_total_favorited = v_total_favorited + v_to - v_there_was,
                v_in_ver          = GREATEST(v_in_ver, v_there_floor) + 1;

            INSERT INTO liker (slot, video_id, user_id, state, ver, at)
            VALUES (v_target_slot, v_target, v_owner, v_to, v_edge, v_at)
                ON DUPLICATE KEY UPDATE state = VALUES(state),
                                        ver   = VALUES(ver),
                                        at    = VALUES(at);

            UPDATE video AS v
               SET v.favorite_count = v_likes,
                   v.ver            = v_video_ver
             WHERE v.slot = v_target_slot
               AND v.video_id = v_target;

            UPDATE inbound AS i
               SET i.total_favorited = v_total_favorited,
                   i.ver             = v_in_ver
             WHERE i.slot = v_target_slot
               AND i.user_id = v_author_id;
        END IF;

        UPDATE user AS u
           SET u.favorite_count = v_favorite_count,
               u.ver            = v_ver,
               u.edge_ver       = v_edge_ver
         WHERE u.slot = v_slot
           AND u.user_id = v_owner;
    ELSEIF v_code = 'same' THEN
        SET v_pending = (SELECT COUNT(*)
                           FROM outbox AS x FORCE INDEX (PRIMARY)
                          WHERE x.slot = v_slot
                            AND x.actor_id = v_owner
                            AND x.kind = 'favorite'
                            AND x.target_id = v_target
                            AND x.seq = 0
                            AND x.ver = v_edge);
    END IF;

    COMMIT;

    IF out_done THEN
        SELECT 1 AS n,
               v_code AS code,
               v_slot AS slot,
               v_epoch AS epoch,
               '' AS server,
               IF(v_code = 'notfound', NULL, v_edge) AS ver,
               IF(v_code = 'notfound', NULL, v_at) AS at,
               v_pending AS pending;

        SELECT v_owner AS user_id,
               v_name AS name,
               v_avatar AS avatar,
               v_background_image AS background_image,
               v_signature AS signature,
               v_follow_count AS follow_count,
               v_work_count AS work_count,
               v_favorite_count AS favorite_count,
               v_ver AS ver,
               v_edge_ver AS edge_ver,
               v_mail_ver AS mail_ver
          FROM DUAL
         WHERE v_state <> 'erased';
    END IF;

    IF v_there THEN
        SELECT v_target AS video_id,
               v_video_state = 'live' AS live,
               v_author_id AS author_id,
               v_title AS title,
               v_media AS media,
               v_likes AS favorite_count,
               v_comment_count AS comment_count,
               v_published_at AS published_at,
               v_video_ver AS ver,
               v_comment_ver AS comment_ver
          FROM DUAL
         WHERE v_video_state IS NOT NULL;

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
