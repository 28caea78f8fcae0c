-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- publish_delete: take videos out of every list and leave the removal of their files as a
-- job.
--
-- in_ops  batch; owner is the video; each operation has
--           user  who asks
--
-- Answer  : n, code, slot, epoch, server, media
-- Codes   : ok same (its author deleted it before) notfound forbidden (not the author)
--           moved notready
-- Touches : SELECT, UPDATE video (by slot and video_id); SELECT, UPDATE user (by slot and
--           user_id); INSERT job (by slot, owner_id, kind, target_id); journal
-- Errors  : 45400 malformed batch
-- Replays : same

DROP PROCEDURE IF EXISTS publish_delete;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE publish_delete (
    IN in_ops JSON
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: delete videos of their authors'
BEGIN
    DECLARE v_n              INT;
    DECLARE v_slot           INT UNSIGNED;
    DECLARE v_video_id       BIGINT UNSIGNED;
    DECLARE v_author_id      BIGINT UNSIGNED;
    DECLARE v_moving         TINYINT;
    DECLARE v_caller_id      BIGINT UNSIGNED;
    DECLARE v_live           BOOLEAN;
    DECLARE v_media          VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin;
    DECLARE v_favorite_count BIGINT;
    DECLARE v_code           VARCHAR(12);
    DECLARE v_now            BIGINT;
    DECLARE v_done           BOOLEAN DEFAULT FALSE;

    DECLARE c_op CURSOR FOR
        SELECT o.n,
               o.slot,
               o.owner,
               o.user_id,
               o.moving,
               j.caller_id
          FROM JSON_TABLE(in_ops, '$[*]' COLUMNS (
                   n         FOR ORDINALITY,
                   caller_id BIGINT UNSIGNED PATH '$.user'
               )) AS j
          JOIN op AS o
            ON o.n = j.n
         WHERE o.code = 'ok'
         ORDER BY o.n;

    DECLARE CONTINUE HANDLER FOR NOT FOUND SET v_done = TRUE;
    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    CALL _op_open(in_ops);

    SELECT MIN(j.n)
      INTO v_n
      FROM JSON_TABLE(in_ops, '$[*]' COLUMNS (
               n         FOR ORDINALITY,
               owner     BIGINT UNSIGNED PATH '$.owner',
               caller_id BIGINT UNSIGNED PATH '$.user'
           )) AS j
     WHERE NOT COALESCE(j.owner > 0 AND j.caller_id > 0, FALSE);

    CALL _op_refuse(v_n, 'owner and user');

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    CALL _op_fence();

    -- The author is locked before the video; a video never changes its author, so that he
    -- may be read without a lock.
    UPDATE op AS o
       SET o.user_id = COALESCE((SELECT v.author_id
                                   FROM video AS v
                                  WHERE v.slot = o.slot
                                    AND v.video_id = o.owner), 0)
     WHERE o.code = 'ok';

    UPDATE op AS o
       SET o.code = 'notfound'
     WHERE o.code = 'ok'
       AND o.user_id = 0;

    CALL _op_user_lock();

    OPEN c_op;
    op_loop: LOOP
        FETCH c_op INTO v_n, v_slot, v_video_id, v_author_id, v_moving, v_caller_id;
        IF v_done THEN
            LEAVE op_loop;
        END IF;

        SELECT v.state = 'live',
               v.media,
               v.favorite_count
          INTO v_live,
               v_media,
               v_favorite_count
          FROM video AS v
         WHERE v.slot = v_slot
           AND v.video_id = v_video_id
           FOR UPDATE;

        IF v_caller_id <> v_author_id THEN
            SET v_code  = IF(v_live, 'forbidden', 'notfound');
            SET v_media = '';
        ELSEIF v_live THEN
            SET v_code = 'ok';
            SET v_now  = _now_ms();

            UPDATE video AS v
               SET v.state      = 'deleted',
                   v.deleted_at = v_now,
                   v.ver        = v.ver + 1
             WHERE v.slot = v_slot
               AND v.video_id = v_video_id;

            UPDATE user AS u
               SET u.work_count      = u.work_count - 1,
                   u.total_favorited = u.total_favorited - v_favorite_count,
                   u.ver             = u.ver + 1
             WHERE u.slot = v_slot
               AND u.user_id = v_author_id;

            INSERT INTO job (slot, owner_id, kind, target_id, payload, due_at)
            VALUES (v_slot, v_author_id, 'media_delete', v_video_id, v_media, v_now);

            CALL _slot_log_add(v_moving, v_slot, 'video', v_author_id,
                               v_video_id, NULL, NULL, NULL, NULL);
            CALL _slot_log_add(v_moving, v_slot, 'user', v_author_id,
                               v_author_id, NULL, NULL, NULL, NULL);
            CALL _slot_log_add(v_moving, v_slot, 'job', v_author_id,
                               v_author_id, v_video_id, NULL, NULL, 'media_delete');
        ELSE
            SET v_code = 'same';
        END IF;

        UPDATE op AS o
           SET o.code  = v_code,
               o.media = v_media
         WHERE o.n = v_n;
    END LOOP;
    CLOSE c_op;

    COMMIT;

    SELECT o.n,
           o.code,
           o.slot,
           o.epoch,
           o.server,
           NULLIF(o.media, '') AS media
      FROM op AS o
     ORDER BY o.n;
END$$

DELIMITER ;
