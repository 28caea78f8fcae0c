-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- comment_erase: delete comments of erased users, with their texts.
--
-- in_ops  batch; owner is the video; each operation has
--           user        the author of the comment
--           comment_id  which comment
--
-- Also under deleted videos; of deleted comments it removes the text. At most one operation
-- per comment. The outbox keeps the second half, comment_deliver with version 2, which must be made
-- at the author.
--
-- Answer  : n, code, slot, epoch, server
-- Answer 2: as _op_video_answer
-- Codes   : ok same (it is deleted and empty) notfound (no such comment of that author) moved
--           notready
-- Touches : SELECT, UPDATE video (by slot and video_id); SELECT, UPDATE comment (by key); INSERT,
--           UPDATE outbox (by key); journal
-- Errors  : 45400 malformed batch, or two operations on one comment
-- Replays : same

DROP PROCEDURE IF EXISTS comment_erase;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE comment_erase (
    IN in_ops JSON
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: delete comments of erased users'
BEGIN
    DECLARE v_moving TINYINT;
    DECLARE v_now    BIGINT;

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    CALL _op_begin(in_ops);

    INSERT INTO op (n, slot, epoch, owner, user_id, kind, target, seq, ver)
    SELECT j.n,
           j.slot,
           j.epoch,
           j.owner,
           0,
           'comment',
           j.user_id,
           j.comment_id,
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

    -- was: delete it; otherwise only remove its text.
    UPDATE op AS o
      LEFT JOIN op_video AS v
        ON v.slot = o.slot
       AND v.video_id = o.owner
      LEFT JOIN comment AS c FORCE INDEX (PRIMARY)
        ON c.slot = v.slot
       AND c.video_id = o.owner
       AND c.comment_id = o.seq
       AND c.author_id = o.target
       SET o.code    = CASE WHEN c.comment_id IS NULL
                            THEN 'notfound'
                            WHEN c.state = 'live' OR LENGTH(c.text) > 0
                            THEN 'ok'
                            ELSE 'same'
                       END,
           o.user_id = COALESCE(v.author_id, 0),
           o.was     = COALESCE(c.state = 'live', 0),
           o.at      = v_now
     WHERE o.code = 'ok';

    UPDATE op AS o
     STRAIGHT_JOIN comment AS c FORCE INDEX (PRIMARY)
        ON c.slot = o.slot
       AND c.video_id = o.owner
       AND c.comment_id = o.seq
       SET c.state = 'deleted',
           c.text  = '',
           c.ver   = IF(o.was = 1, o.ver, c.ver)
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
       AND o.was = 1
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
           o.server
      FROM op AS o;

    CALL _op_video_answer();
END$$

DELIMITER ;
