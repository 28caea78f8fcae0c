-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- comment_erase: delete comments of erased users, with their texts.
--
-- in_ops  batch; owner is the video; each operation has
--           user        the author of the comment
--           comment_id  which comment
--
-- Under deleted videos, too, and of comments that are deleted the text. At most one operation
-- per comment. The outbox remembers that the second half, comment_deliver with version 2, is
-- to be made at the author.
--
-- Answer  : n, code, slot, epoch, server
-- Codes   : ok same (it is deleted and empty) notfound (no such comment of that author) moved
--           notready
-- Touches : SELECT user (by slot and user_id); SELECT, UPDATE video (by slot and video_id);
--           SELECT, UPDATE comment (by key); INSERT, UPDATE outbox (by key); journal
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
    DECLARE v_n      INT;
    DECLARE v_moving TINYINT;
    DECLARE v_now    BIGINT;

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    CALL _op_open(in_ops);

    SELECT MIN(j.n)
      INTO v_n
      FROM JSON_TABLE(in_ops, '$[*]' COLUMNS (
               n          FOR ORDINALITY,
               owner      VARCHAR(24) PATH '$.owner',
               user_id    VARCHAR(24) PATH '$.user',
               comment_id VARCHAR(24) PATH '$.comment_id'
           )) AS j
     WHERE NOT COALESCE(j.owner <> '0'
                        AND CAST(CAST(j.user_id AS UNSIGNED) AS CHAR) = j.user_id
                        AND j.user_id <> '0'
                        AND CAST(CAST(j.comment_id AS UNSIGNED) AS CHAR) = j.comment_id
                        AND j.comment_id <> '0', FALSE);

    CALL _op_refuse(v_n, 'owner, user and comment_id');

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    CALL _op_fence();

    UPDATE JSON_TABLE(in_ops, '$[*]' COLUMNS (
               n          FOR ORDINALITY,
               user_id    BIGINT UNSIGNED PATH '$.user',
               comment_id BIGINT UNSIGNED PATH '$.comment_id'
           )) AS j
     STRAIGHT_JOIN op AS o
        ON o.n = j.n
       SET o.kind   = 'comment',
           o.target = j.user_id,
           o.seq    = j.comment_id,
           o.ver    = 2;

    CALL _op_distinct();

    CALL _op_author();
    CALL _op_video_hold();

    SET v_now = _now_ms();

    -- was: it is to be deleted; else it loses its text only.
    UPDATE op AS o
      LEFT JOIN comment AS c FORCE INDEX (PRIMARY)
        ON c.slot = o.slot
       AND c.video_id = o.owner
       AND c.comment_id = o.seq
       AND c.author_id = o.target
       SET o.code = CASE WHEN c.comment_id IS NULL
                         THEN 'notfound'
                         WHEN c.state = 'live' OR LENGTH(c.text) > 0
                         THEN 'ok'
                         ELSE 'same'
                    END,
           o.was  = COALESCE(c.state = 'live', 0)
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

    UPDATE (SELECT o.slot,
                   o.owner,
                   SUM(o.was) AS comments
              FROM op AS o
             WHERE o.code = 'ok'
             GROUP BY o.slot,
                      o.owner) AS d
     STRAIGHT_JOIN video AS v FORCE INDEX (PRIMARY)
        ON v.slot = d.slot
       AND v.video_id = d.owner
       SET v.comment_count = v.comment_count - d.comments,
           v.ver           = v.ver + 1;

    INSERT INTO outbox (slot, actor_id, kind, target_id, seq, ver, at, due_at)
    SELECT o.slot,
           o.owner,
           o.kind,
           o.target,
           o.seq,
           o.ver,
           v_now,
           v_now
      FROM op AS o
     WHERE o.code = 'ok'
       AND o.was = 1
     ORDER BY o.slot,
              o.owner,
              o.target,
              o.seq
        ON DUPLICATE KEY UPDATE ver      = VALUES(ver),
                                at       = VALUES(at),
                                due_at   = VALUES(due_at),
                                attempts = 0,
                                parked   = 0;

    SELECT MAX(o.moving)
      INTO v_moving
      FROM op AS o
     WHERE o.code = 'ok';

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
      FROM op AS o
     ORDER BY o.n;
END$$

DELIMITER ;
