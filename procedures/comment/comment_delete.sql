-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- comment_delete: delete comments.
--
-- in_ops  batch; owner is the video; each operation has
--           user        who asks: the author of the comment or of the video
--           comment_id  which comment
--
-- At most one operation per comment. The outbox keeps the second half, comment_deliver, which must
-- be made at the author of the comment.
--
-- Answer  : n, code, slot, epoch, server, author_id (of the comment), ver (2), at (ms since
--           the Unix epoch, for comment_deliver), pending (1: the second half must still be made)
-- Answer 2: as _op_video_answer
-- Codes   : ok same (it is deleted; also where the video is gone since) notfound (no such
--           comment, or no live video of a live user) forbidden moved notready
-- Touches : SELECT user (by slot and user_id); SELECT, UPDATE video (by slot and video_id);
--           SELECT, UPDATE comment (by key); SELECT, INSERT, UPDATE outbox (by key); journal
-- Errors  : 45400 malformed batch, or two operations on one comment
-- Replays : same

DROP PROCEDURE IF EXISTS comment_delete;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE comment_delete (
    IN in_ops JSON
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: delete comments'
BEGIN
    DECLARE v_moving TINYINT;
    DECLARE v_now    BIGINT;

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    CALL _op_begin(in_ops);

    -- id is the caller; target becomes the author of the comment.
    INSERT INTO op (n, slot, epoch, owner, user_id, kind, id, seq, state, was, ver)
    SELECT j.n,
           j.slot,
           j.epoch,
           j.owner,
           0,
           'comment',
           j.user_id,
           j.comment_id,
           0,
           1,
           2
      FROM JSON_TABLE(in_ops, '$[*]' COLUMNS (
               n               FOR ORDINALITY,
               slot            INT UNSIGNED PATH '$.slot',
               slot_text       VARCHAR(24) PATH '$.slot',
               epoch           BIGINT UNSIGNED PATH '$.epoch',
               epoch_text      VARCHAR(24) PATH '$.epoch',
               owner           BIGINT UNSIGNED PATH '$.owner',
               owner_text      VARCHAR(24) PATH '$.owner',
               user_id         BIGINT UNSIGNED PATH '$.user',
               user_id_text    VARCHAR(24) PATH '$.user',
               comment_id      BIGINT UNSIGNED PATH '$.comment_id',
               comment_id_text VARCHAR(24) PATH '$.comment_id'
           )) AS j
     WHERE CONCAT(j.slot, ',', j.epoch, ',', j.owner, ',', j.user_id, ',', j.comment_id)
           = CONCAT(j.slot_text, ',', j.epoch_text, ',', j.owner_text, ',', j.user_id_text, ',',
                    j.comment_id_text)
       AND j.owner > 0
       AND j.user_id > 0
       AND j.comment_id > 0;

    CALL _op_opened(in_ops, ROW_COUNT(), 'owner, user and comment_id');

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    CALL _op_fence(v_moving);
    CALL _op_video_lock();

    SET v_now = _now_ms();

    UPDATE op AS o
      LEFT JOIN op_video AS v
        ON v.slot = o.slot
       AND v.video_id = o.owner
      LEFT JOIN comment AS c FORCE INDEX (PRIMARY)
        ON c.slot = v.slot
       AND c.video_id = o.owner
       AND c.comment_id = o.seq
      LEFT JOIN outbox AS x FORCE INDEX (PRIMARY)
        ON x.slot = IF(c.state = 'live', NULL, c.slot)
       AND x.actor_id = o.owner
       AND x.kind = o.kind
       AND x.target_id = c.author_id
       AND x.seq = o.seq
       AND x.ver = o.ver
       SET o.code    = CASE WHEN c.comment_id IS NULL
                            THEN 'notfound'
                            WHEN c.state <> 'live'
                            THEN IF(o.id IN (c.author_id, v.author_id), 'same', 'notfound')
                            WHEN v.state <> 'live' OR v.author_state <> 'live'
                            THEN 'notfound'
                            ELSE IF(o.id IN (c.author_id, v.author_id), 'ok', 'forbidden')
                       END,
           o.target  = COALESCE(c.author_id, 0),
           o.user_id = COALESCE(v.author_id, 0),
           o.at      = v_now,
           o.pending = COALESCE(c.state = 'live', 0) OR x.ver IS NOT NULL
     WHERE o.code = 'ok';

    UPDATE op AS o
     STRAIGHT_JOIN comment AS c FORCE INDEX (PRIMARY)
        ON c.slot = o.slot
       AND c.video_id = o.owner
       AND c.comment_id = o.seq
       SET c.state = 'deleted',
           c.ver   = o.ver
     WHERE o.code = 'ok';

    INSERT INTO outbox (slot, actor_id, kind, target_id, seq, ver, at, due_at)
    SELECT o.slot,
           o.owner,
           o.kind,
           o.target,
           o.seq,
           o.ver,
           o.at,
           o.at
      FROM op AS o
     WHERE o.code = 'ok'
        ON DUPLICATE KEY UPDATE ver      = VALUES(ver),
                                at       = VALUES(at),
                                due_at   = VALUES(due_at),
                                attempts = 0,
                                parked   = 0;

    CALL _op_video_change();

    IF v_moving THEN
        CALL _slot_log_add_ops('comment');
        CALL _slot_log_add_ops('outbox');
        CALL _slot_log_add_ops('video');
    END IF;

    COMMIT;

    SELECT o.n,
           o.code,
           o.slot,
           o.epoch,
           o.server,
           IF(o.code IN ('ok', 'same'), o.target, NULL) AS author_id,
           IF(o.code IN ('ok', 'same'), o.ver, NULL) AS ver,
           IF(o.code IN ('ok', 'same'), o.at, NULL) AS at,
           IF(o.code IN ('ok', 'same'), o.pending, NULL) AS pending
      FROM op AS o;

    CALL _op_video_answer();
END$$

DELIMITER ;
