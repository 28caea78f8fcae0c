-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- publish_action: list videos whose files are stored.
--
-- in_ops  batch; owner is the author; each operation has
--           op           32 hex digits, idempotency key
--           title        1 to 128 characters
--           media        base name of the files, 1 to 64 ASCII characters
--           sha256       64 hex digits, of the uploaded file
--           size_bytes   1 or more
--           duration_ms  0 or more
--           width        pixels, 1 or more
--           height       pixels, 1 or more
--           video_id     id that publish_number gave; absent: none
--
-- The ids of an author with a slot of his own come from the slot of his id: until he has one for
-- this op, the answer is gap, and publish_number on that slot makes one. A given id is used,
-- wherever he is by then.
--
-- Answer  : n, code, slot, epoch, server, video_id, published_at, media
-- Answer 2: as _op_user_answer
-- Answer 3: as _op_video_answer
-- Codes   : ok same mismatch (the op was used for another file) notfound (no live author)
--           gap (he needs an id first) moved notready
-- Touches : SELECT, UPDATE user (by slot and user_id); SELECT, INSERT video (by slot,
--           author_id, op); slot_seq; journal
-- Errors  : 45400 malformed batch   45503 the slot has no mint here
-- Replays : same with the stored id, time and media; the files of the replay are not used,
--           nor its title: words may be masked in one and not in the other, when their list
--           has changed in between. The author's row is locked before the op is looked
--           for, so that two racing replays cannot both miss it.

DROP PROCEDURE IF EXISTS publish_action;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE publish_action (
    IN in_ops JSON
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v2: list videos whose files are stored'
BEGIN
    DECLARE v_n            INT;
    DECLARE v_slot         INT UNSIGNED;
    DECLARE v_floor        BIGINT UNSIGNED;
    DECLARE v_author_id    BIGINT UNSIGNED;
    DECLARE v_moving       TINYINT;
    DECLARE v_op           BINARY(16);
    DECLARE v_title        VARCHAR(128);
    DECLARE v_media        VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin;
    DECLARE v_sha256       BINARY(32);
    DECLARE v_size_bytes   BIGINT;
    DECLARE v_duration_ms  INT UNSIGNED;
    DECLARE v_width        INT UNSIGNED;
    DECLARE v_height       INT UNSIGNED;
    DECLARE v_video_id     BIGINT UNSIGNED;
    DECLARE v_given_id     BIGINT UNSIGNED;
    DECLARE v_published_at BIGINT;
    DECLARE v_same         BOOLEAN;
    DECLARE v_old_media    VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin;
    DECLARE v_done         BOOLEAN DEFAULT FALSE;

    DECLARE c_op CURSOR FOR
        SELECT o.n,
               o.slot,
               o.epoch << 33,
               o.user_id,
               o.moving,
               UNHEX(j.op),
               j.title,
               j.media,
               UNHEX(j.sha256),
               j.size_bytes,
               j.duration_ms,
               j.width,
               j.height,
               j.video_id
          FROM JSON_TABLE(in_ops, '$[*]' COLUMNS (
                   n           FOR ORDINALITY,
                   op          VARCHAR(32) PATH '$.op',
                   title       VARCHAR(128) PATH '$.title',
                   media       VARCHAR(64) PATH '$.media',
                   sha256      VARCHAR(64) PATH '$.sha256',
                   size_bytes  BIGINT PATH '$.size_bytes',
                   duration_ms INT UNSIGNED PATH '$.duration_ms',
                   width       INT UNSIGNED PATH '$.width',
                   height      INT UNSIGNED PATH '$.height',
                   video_id    BIGINT UNSIGNED PATH '$.video_id'
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
               n           FOR ORDINALITY,
               owner       BIGINT UNSIGNED PATH '$.owner',
               op          VARCHAR(33) PATH '$.op',
               title       VARCHAR(129) PATH '$.title',
               media       VARCHAR(65) PATH '$.media',
               sha256      VARCHAR(65) PATH '$.sha256',
               size_bytes  BIGINT PATH '$.size_bytes',
               duration_ms BIGINT PATH '$.duration_ms',
               width       BIGINT PATH '$.width',
               height      BIGINT PATH '$.height',
               video_id    BIGINT PATH '$.video_id'
           )) AS j
     WHERE NOT COALESCE(j.owner > 0
                        AND LENGTH(j.op) = 32 AND UNHEX(j.op) IS NOT NULL
                        AND CHAR_LENGTH(j.title) BETWEEN 1 AND 128
                        AND LENGTH(j.media) BETWEEN 1 AND 64
                        AND LENGTH(j.media) = CHAR_LENGTH(j.media)
                        AND LENGTH(j.sha256) = 64 AND UNHEX(j.sha256) IS NOT NULL
                        AND j.size_bytes > 0
                        AND j.duration_ms BETWEEN 0 AND 4294967295
                        AND j.width BETWEEN 1 AND 4294967295
                        AND j.height BETWEEN 1 AND 4294967295
                        AND (j.video_id IS NULL
                             OR (j.video_id BETWEEN 8192 AND 9007199254740991
                                 AND (j.video_id DIV 8) MOD 1024 = (j.owner DIV 8) MOD 1024)),
                        FALSE);

    CALL _op_refuse(v_n, 'owner, op, title, media, sha256, size_bytes, duration_ms, width, height');

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    CALL _op_fence(v_moving);
    CALL _slot_seq_lock();
    CALL _op_user_lock();
    CALL _op_user_need();

    OPEN c_op;
    op_loop: LOOP
        FETCH c_op INTO v_n, v_slot, v_floor, v_author_id, v_moving, v_op, v_title, v_media,
                        v_sha256, v_size_bytes, v_duration_ms, v_width, v_height, v_given_id;
        IF v_done THEN
            LEAVE op_loop;
        END IF;

        SELECT MAX(v.video_id),
               MAX(v.published_at),
               MAX(v.media),
               MAX(v.sha256 = v_sha256)
          INTO v_video_id,
               v_published_at,
               v_old_media,
               v_same
          FROM video AS v FORCE INDEX (op)
         WHERE v.slot = v_slot
           AND v.author_id = v_author_id
           AND v.op = v_op;

        IF v_video_id IS NULL AND v_given_id IS NULL AND v_slot >= 1024 THEN
            UPDATE op AS o
               SET o.code = 'gap'
             WHERE o.n = v_n;
        ELSEIF v_video_id IS NULL THEN
            IF v_given_id IS NULL THEN
                CALL _op_mint(v_n, TRUE);
            ELSE
                UPDATE op AS o
                   SET o.id = v_given_id,
                       o.at = v_given_id DIV 8192 + 1735689600000
                 WHERE o.n = v_n;
            END IF;

            SELECT o.id,
                   o.at
              INTO v_video_id,
                   v_published_at
              FROM op AS o
             WHERE o.n = v_n;

            INSERT INTO video (slot, video_id, author_id, title, media, sha256, size_bytes,
                               duration_ms, width, height, published_at, ver, comment_ver, op)
            VALUES (v_slot, v_video_id, v_author_id, v_title, v_media, v_sha256, v_size_bytes,
                    v_duration_ms, v_width, v_height, v_published_at, v_floor + 1, v_floor, v_op);

            UPDATE user AS u
               SET u.work_count = u.work_count + 1,
                   u.ver        = GREATEST(u.ver, v_floor) + 1
             WHERE u.slot = v_slot
               AND u.user_id = v_author_id;

            UPDATE op AS o
               SET o.media = v_media
             WHERE o.n = v_n;

            CALL _slot_log_add(v_moving, v_slot, 'video', v_author_id,
                               v_video_id, NULL, NULL, NULL, NULL);
            CALL _slot_log_add(v_moving, v_slot, 'user', v_author_id,
                               v_author_id, NULL, NULL, NULL, NULL);
        ELSEIF v_same THEN
            UPDATE op AS o
               SET o.code  = 'same',
                   o.id    = v_video_id,
                   o.at    = v_published_at,
                   o.media = v_old_media
             WHERE o.n = v_n;
        ELSE
            UPDATE op AS o
               SET o.code = 'mismatch'
             WHERE o.n = v_n;
        END IF;
    END LOOP;
    CLOSE c_op;

    CALL _op_user_lock();

    -- From here on the owner is the video.
    UPDATE op AS o
       SET o.owner = o.id
     WHERE o.code IN ('ok', 'same');

    CALL _op_video_lock();

    COMMIT;

    SELECT o.n,
           o.code,
           o.slot,
           o.epoch,
           o.server,
           NULLIF(o.id, 0) AS video_id,
           NULLIF(o.at, 0) AS published_at,
           NULLIF(o.media, '') AS media
      FROM op AS o
     ORDER BY o.n;

    CALL _op_user_answer();
    CALL _op_video_answer();
END$$

DELIMITER ;
