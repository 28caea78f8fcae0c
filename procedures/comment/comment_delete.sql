-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- comment_delete: delete comments.
--
-- in_ops  batch; owner is the video; each operation has
--           user        who asks: the author of the comment or of the video
--           comment_id  which comment
--
-- At most one operation per comment. The outbox remembers that the second half,
-- comment_deliver, is to be made at the author of the comment.
--
-- Answer  : n, code, slot, epoch, server, author_id (of the comment), ver (2), at (ms since
--           the Unix epoch, for comment_deliver), pending (1: the second half is still to be
--           made)
-- Codes   : ok same (it is deleted) notfound (no such comment, or no live video of a live
--           user) forbidden moved notready
-- Touches : SELECT user (by slot and user_id); SELECT, UPDATE video (by slot and video_id);
--           SELECT, UPDATE comment (by key); INSERT, UPDATE outbox (by key); journal
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

    -- id is who asks; target is to be the author of the comment.
    UPDATE JSON_TABLE(in_ops, '$[*]' COLUMNS (
               n          FOR ORDINALITY,
               user_id    BIGINT UNSIGNED PATH '$.user',
               comment_id BIGINT UNSIGNED PATH '$.comment_id'
           )) AS j
     STRAIGHT_JOIN op AS o
        ON o.n = j.n
       SET o.kind = 'comment',
           o.seq  = j.comment_id,
           o.id   = j.user_id,
           o.ver  = 2;

    CALL _op_distinct();

    -- An author who was erased takes his videos along; nothing of his row is changed here,
    -- so that it is not locked.
    CALL _op_author();

    UPDATE op AS o
     STRAIGHT_JOIN op_video AS a
        ON a.slot = o.slot
       AND a.video_id = o.owner
       SET o.code = 'notfound'
     WHERE o.code = 'ok'
       AND a.live = 0;

    CALL _op_video_lock();

    SET v_now = _now_ms();

    UPDATE op AS o
      LEFT JOIN comment AS c FORCE INDEX (PRIMARY)
        ON c.slot = o.slot
       AND c.video_id = o.owner
       AND c.comment_id = o.seq
       SET o.code   = CASE WHEN c.comment_id IS NULL
                           THEN 'notfound'
                           WHEN o.id IN (c.author_id, o.user_id)
                            AND c.state = 'live'
                           THEN 'ok'
                           WHEN o.id IN (c.author_id, o.user_id)
                           THEN 'same'
                           WHEN c.state = 'live'
                           THEN 'forbidden'
                           ELSE 'notfound'
                      END,
           o.target = COALESCE(c.author_id, 0),
           o.at     = v_now
     WHERE o.code = 'ok';

    UPDATE op AS o
     STRAIGHT_JOIN comment AS c FORCE INDEX (PRIMARY)
        ON c.slot = o.slot
       AND c.video_id = o.owner
       AND c.comment_id = o.seq
       SET c.state = 'deleted',
           c.ver   = o.ver
     WHERE o.code = 'ok';

    UPDATE (SELECT o.slot,
                   o.owner,
                   COUNT(*) AS comments
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
           o.server,
           IF(o.code IN ('ok', 'same'), o.target, NULL) AS author_id,
           IF(o.code IN ('ok', 'same'), o.ver, NULL) AS ver,
           IF(o.code IN ('ok', 'same'), o.at, NULL) AS at,
           IF(o.code IN ('ok', 'same'), x.ver IS NOT NULL, NULL) AS pending
      FROM op AS o
      LEFT JOIN outbox AS x FORCE INDEX (PRIMARY)
        ON x.slot = IF(o.code IN ('ok', 'same'), o.slot, NULL)
       AND x.actor_id = o.owner
       AND x.kind = o.kind
       AND x.target_id = o.target
       AND x.seq = o.seq
       AND x.ver = o.ver
     ORDER BY o.n;
END$$

DELIMITER ;
