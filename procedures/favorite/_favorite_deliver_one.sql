-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _favorite_deliver_one: favorite_deliver for one operation at a slot that is not moving.
--
-- in_ops    the batch
-- out_done  1: done and answered; 0: nothing was done, it is for _favorite_deliver_batch: there
--           is not one operation, it is malformed, or the fence needs a closer look
--
-- The same as a batch of one in half as many statements: variables instead of session tables.
--
-- Touches : SELECT slot_fence (by slot, share lock); SELECT, UPDATE video, inbound (by slot and
--           id); SELECT, INSERT, UPDATE liker (by slot, video_id, user_id)
-- Errors  : none
-- Replays : as favorite_deliver

DROP PROCEDURE IF EXISTS _favorite_deliver_one;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _favorite_deliver_one (
    IN  in_ops   JSON,
    OUT out_done TINYINT
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: second half of one like'
BEGIN
    DECLARE v_slot            INT UNSIGNED;
    DECLARE v_epoch           BIGINT UNSIGNED;
    DECLARE v_owner           BIGINT UNSIGNED;
    DECLARE v_actor           BIGINT UNSIGNED;
    DECLARE v_to              TINYINT;
    DECLARE v_edge            BIGINT UNSIGNED;
    DECLARE v_at              BIGINT;
    DECLARE v_floor           BIGINT UNSIGNED;
    DECLARE v_code            VARCHAR(12) CHARACTER SET ascii COLLATE ascii_bin;
    DECLARE v_was             TINYINT;
    DECLARE v_last            BIGINT UNSIGNED;
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
        RESIGNAL;
    END;

    SET out_done = 0;

    IF JSON_LENGTH(in_ops) = 1 THEN
        SELECT j.slot,
               j.epoch,
               j.owner,
               j.actor,
               j.state,
               j.ver,
               j.at
          INTO v_slot,
               v_epoch,
               v_owner,
               v_actor,
               v_to,
               v_edge,
               v_at
          FROM JSON_TABLE(in_ops, '$[*]' COLUMNS (
                   slot       INT UNSIGNED PATH '$.slot',
                   slot_text  VARCHAR(24) PATH '$.slot',
                   epoch      BIGINT UNSIGNED PATH '$.epoch',
                   epoch_text VARCHAR(24) PATH '$.epoch',
                   owner      BIGINT UNSIGNED PATH '$.owner',
                   owner_text VARCHAR(24) PATH '$.owner',
                   actor      BIGINT UNSIGNED PATH '$.actor',
                   actor_text VARCHAR(24) PATH '$.actor',
                   state      TINYINT PATH '$.state',
                   state_text VARCHAR(24) PATH '$.state',
                   ver        BIGINT UNSIGNED PATH '$.ver',
                   ver_text   VARCHAR(24) PATH '$.ver',
                   at         BIGINT PATH '$.at',
                   at_text    VARCHAR(24) PATH '$.at'
               )) AS j
         WHERE CONCAT(j.slot, ',', j.epoch, ',', j.owner, ',', j.actor, ',', j.state, ',', j.ver,
                      ',', j.at)
               = CONCAT(j.slot_text, ',', j.epoch_text, ',', j.owner_text, ',', j.actor_text, ',',
                        j.state_text, ',', j.ver_text, ',', j.at_text)
           AND j.owner > 0
           AND j.actor > 0
           AND j.state IN (0, 1)
           AND j.ver > 0
           AND j.at >= 0;
    END IF;

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    SELECT 1,
           f.epoch << 33
      INTO out_done,
           v_floor
      FROM slot_fence AS f FORCE INDEX (PRIMARY)
     WHERE f.slot = v_slot
       AND f.epoch = v_epoch
       AND f.answer = 'ok'
       AND f.has_home = 0
       AND f.state <> 'migrating'
       AND f.journal = 0
      LOCK IN SHARE MODE;

    IF out_done THEN
        -- Locks in the order of the tables: the video, its author, the edge.
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
               i.mail_ver,
               COALESCE(e.state, 0),
               COALESCE(e.ver, 0)
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
               v_in_mail_ver,
               v_was,
               v_last
          FROM video AS v FORCE INDEX (PRIMARY)
          LEFT JOIN inbound AS i FORCE INDEX (PRIMARY)
            ON i.slot = v.slot
           AND i.user_id = v.author_id
           AND v.state = 'live'
          LEFT JOIN liker AS e FORCE INDEX (PRIMARY)
            ON e.slot = i.slot
           AND e.video_id = v.video_id
           AND e.user_id = v_actor
         WHERE v.slot = v_slot
           AND v.video_id = v_owner
           FOR UPDATE;

        SET v_code = CASE WHEN COALESCE(v_author_state = 'erased', TRUE)
                          THEN 'notfound'
                          WHEN v_edge > v_last
                          THEN 'ok'
                          ELSE 'same'
                     END;
    END IF;

    IF v_code = 'ok' THEN
        SET v_favorite_count  = v_favorite_count + v_to - v_was,
            v_ver             = GREATEST(v_ver, v_floor) + 1,
            v_total_favorited = v_total_favorited + v_to - v_was,
            v_in_ver          = GREATEST(v_in_ver, v_floor) + 1;

        INSERT INTO liker (slot, video_id, user_id, state, ver, at)
        VALUES (v_slot, v_owner, v_actor, v_to, v_edge, v_at)
            ON DUPLICATE KEY UPDATE state = VALUES(state),
                                    ver   = VALUES(ver),
                                    at    = VALUES(at);

        UPDATE video AS v
           SET v.favorite_count = v_favorite_count,
               v.ver            = v_ver
         WHERE v.slot = v_slot
           AND v.video_id = v_owner;

        UPDATE inbound AS i
           SET i.total_favorited = v_total_favorited,
               i.ver             = v_in_ver
         WHERE i.slot = v_slot
           AND i.user_id = v_author_id;
    END IF;

    COMMIT;

    IF out_done THEN
        SELECT 1 AS n,
               v_code AS code,
               v_slot AS slot,
               v_epoch AS epoch,
               '' AS server;

        SELECT v_owner AS video_id,
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
