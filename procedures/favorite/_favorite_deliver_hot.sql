-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _favorite_deliver_hot: favorite_deliver for many operations on one video, at a slot that is not
-- moving.
--
-- in_ops    the batch
-- out_done  1: done and answered; 0: nothing was done, it is for _favorite_deliver_batch: it is
--           not all about one video, not as servers write it, malformed, or the fence needs a
--           closer look
--
-- Used for popular videos. The same as the batch, with the video and its author in variables: every
-- operation ends with the same slot, epoch and owner, which are read once, and the copies, groups
-- and sorted lists for many owners are not needed.
--
-- Touches : SELECT slot_fence (by slot, share lock); SELECT, UPDATE video, inbound (by slot and
--           id); SELECT, INSERT, UPDATE liker (by slot, video_id, user_id)
-- Errors  : 45400 too many bytes
-- Replays : as favorite_deliver

DROP PROCEDURE IF EXISTS _favorite_deliver_hot;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _favorite_deliver_hot (
    IN  in_ops   JSON,
    OUT out_done TINYINT
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: second halves of likes of one video'
BEGIN
    DECLARE v_bytes           BIGINT;
    DECLARE v_place           VARCHAR(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
    DECLARE v_count           INT;
    DECLARE v_actors          INT;
    DECLARE v_change          BIGINT;
    DECLARE v_slot            INT UNSIGNED;
    DECLARE v_epoch           BIGINT UNSIGNED;
    DECLARE v_owner           BIGINT UNSIGNED;
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

    -- The ends of the first operation and of the last.
    SET v_place = SUBSTRING(in_ops, LOCATE('"slot":', in_ops), 100);
    SET v_place = LEFT(v_place, LOCATE('}', v_place));
    IF v_place REGEXP '^"slot":[0-9]{1,9},"epoch":[0-9]{1,18},"owner":[0-9]{1,18}\\}$'
       AND RIGHT(in_ops, CHAR_LENGTH(v_place) + 1) = CONCAT(v_place, ']') THEN
        SET v_bytes = LENGTH(in_ops);
        CALL _op_clear(v_bytes);

        SELECT j.slot,
               j.epoch,
               j.owner
          INTO v_slot,
               v_epoch,
               v_owner
          FROM JSON_TABLE(CONCAT('{', v_place), '$' COLUMNS (
                   slot  INT UNSIGNED PATH '$.slot',
                   epoch BIGINT UNSIGNED PATH '$.epoch',
                   owner BIGINT UNSIGNED PATH '$.owner'
               )) AS j;

        INSERT INTO op (n, slot, epoch, owner, user_id, kind, target, state, ver, at)
        SELECT j.n,
               v_slot,
               v_epoch,
               v_owner,
               0,
               'favorite',
               j.actor,
               j.state,
               j.ver,
               j.at
          FROM JSON_TABLE(in_ops, '$[*]' COLUMNS (
                   n     FOR ORDINALITY,
                   actor BIGINT UNSIGNED PATH '$.actor',
                   state TINYINT PATH '$.state',
                   ver   BIGINT UNSIGNED PATH '$.ver',
                   at    BIGINT PATH '$.at'
               )) AS j
         WHERE v_owner > 0
           AND j.actor > 0
           AND j.state IN (0, 1)
           AND j.ver > 0
           AND j.at >= 0;

        SELECT COUNT(*),
               COUNT(DISTINCT o.target)
          INTO v_count,
               v_actors
          FROM op AS o;
    END IF;

    -- The form in which a server writes it (_op_clear); for one owner any order is valid, and rows
    -- come in the order of insertion.
    IF v_count BETWEEN 1 AND 256
       AND v_actors = v_count
       AND (SELECT CONCAT('[', GROUP_CONCAT('{"actor":', o.target,
                                               ',"state":', o.state,
                                               ',"ver":', o.ver,
                                               ',"at":', o.at,
                                               ',', v_place), ']')
              FROM op AS o) = in_ops THEN
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
            -- Locks in the order of the tables: the video, its author, the edges.
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
              FROM video AS v FORCE INDEX (PRIMARY)
              LEFT JOIN inbound AS i FORCE INDEX (PRIMARY)
                ON i.slot = v.slot
               AND i.user_id = v.author_id
               AND v.state = 'live'
             WHERE v.slot = v_slot
               AND v.video_id = v_owner
               FOR UPDATE;

            UPDATE op AS o
              LEFT JOIN liker AS e FORCE INDEX (PRIMARY)
                ON e.slot = o.slot
               AND e.video_id = o.owner
               AND e.user_id = o.target
               SET o.code = CASE WHEN COALESCE(v_author_state = 'erased', TRUE)
                                 THEN 'notfound'
                                 WHEN o.ver > COALESCE(e.ver, 0)
                                 THEN 'ok'
                                 ELSE 'same'
                            END,
                   o.was  = COALESCE(e.state, 0);

            INSERT INTO liker (slot, video_id, user_id, state, ver, at)
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

            SELECT SUM(o.state - o.was)
              INTO v_change
              FROM op AS o
             WHERE o.code = 'ok';
        END IF;

        IF v_change IS NOT NULL THEN
            SET v_favorite_count  = v_favorite_count + v_change,
                v_ver             = GREATEST(v_ver, v_floor) + 1,
                v_total_favorited = v_total_favorited + v_change,
                v_in_ver          = GREATEST(v_in_ver, v_floor) + 1;

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
    END IF;

    IF out_done THEN
        SELECT o.n,
               o.code,
               o.slot,
               o.epoch,
               o.server
          FROM op AS o;

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
