-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- comment_action: comments on videos.
--
-- in_ops  batch; owner is the video; each operation has
--           user  who comments, a live user
--           op    32 hex digits, idempotency key
--           text  1 to 1000 characters
--
-- The id has the layout of a video's (ms, slot bits of the video, low bits), is minted from
-- video.comment_last and unique per video. The outbox keeps the second half, comment_deliver, which
-- must be made at the author of the comment. At most one operation per op.
--
-- Answer  : n, code, slot, epoch, server, comment_id, created_at (ms since the Unix epoch),
--           author_id (of the comment), ver (1), video_author_id, text (for same: the stored one),
--           pending (1: the second half must still be made)
-- Answer 2: as _op_video_answer
-- Codes   : ok same (also where the video is gone since) mismatch (the op was used by another
--           user) notfound (no live video of a live user, or the comment was deleted since) moved
--           notready
-- Touches : SELECT user (by slot and user_id); SELECT, UPDATE video (by slot and video_id);
--           SELECT, INSERT comment (by slot, video_id, op); SELECT, INSERT outbox (by key); journal
-- Errors  : 45400 malformed batch, or two operations with one op   45503 the clock is beyond
--           the 40 bits of an id
-- Replays : same with id, time and text of the first one. The text of the replay is not used:
--           words may be masked differently if the list has changed in between. The op is looked
--           for under the lock of the video, so that two racing replays cannot both miss it.

DROP PROCEDURE IF EXISTS comment_action;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE comment_action (
    IN in_ops JSON
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v2: comment on videos'
BEGIN
    DECLARE v_moving TINYINT;
    DECLARE v_now    BIGINT;
    DECLARE v_last   BIGINT;

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    CALL _op_begin(in_ops);

    INSERT INTO op (n, slot, epoch, owner, user_id, kind, target, op, state, ver)
    SELECT j.n,
           j.slot,
           j.epoch,
           j.owner,
           0,
           'comment',
           j.user_id,
           UNHEX(j.op),
           1,
           1
      FROM JSON_TABLE(in_ops, '$[*]' COLUMNS (
               n            FOR ORDINALITY,
               slot         INT UNSIGNED PATH '$.slot',
               slot_text    VARCHAR(24) PATH '$.slot',
               epoch        BIGINT UNSIGNED PATH '$.epoch',
               epoch_text   VARCHAR(24) PATH '$.epoch',
               owner        BIGINT UNSIGNED PATH '$.owner',
               owner_text   VARCHAR(24) PATH '$.owner',
               user_id      BIGINT UNSIGNED PATH '$.user',
               user_id_text VARCHAR(24) PATH '$.user',
               op           VARCHAR(33) PATH '$.op',
               text         VARCHAR(1001) PATH '$.text'
           )) AS j
     WHERE CONCAT(j.slot, ',', j.epoch, ',', j.owner, ',', j.user_id)
           = CONCAT(j.slot_text, ',', j.epoch_text, ',', j.owner_text, ',', j.user_id_text)
       AND j.owner > 0
       AND j.user_id > 0
       AND LENGTH(j.op) = 32
       AND UNHEX(j.op) IS NOT NULL
       AND CHAR_LENGTH(j.text) BETWEEN 1 AND 1000;

    CALL _op_opened(in_ops, ROW_COUNT(), 'owner, user, op and text of 1 to 1000 characters');

    CALL _op_texts(in_ops);

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    CALL _op_fence(v_moving);
    CALL _op_video_lock();

    SET v_now = _now_ms();

    -- Existing comments; the numbers of new ones, for now in id, follow those of their video. The
    -- videos of an erased author are gone, too.
    UPDATE op AS o
      LEFT JOIN op_video AS v
        ON v.slot = o.slot
       AND v.video_id = o.owner
       AND v.state = 'live'
       AND v.author_state = 'live'
      LEFT JOIN comment AS c FORCE INDEX (op)
        ON c.slot = o.slot
       AND c.video_id = o.owner
       AND c.op = o.op
      LEFT JOIN outbox AS x FORCE INDEX (PRIMARY)
        ON x.slot = c.slot
       AND x.actor_id = o.owner
       AND x.kind = o.kind
       AND x.target_id = o.target
       AND x.seq = c.comment_id
       AND x.ver = 1
       SET o.code    = CASE WHEN c.comment_id IS NULL
                            THEN IF(v.video_id IS NULL, 'notfound', 'ok')
                            WHEN c.author_id <> o.target
                            THEN 'mismatch'
                            WHEN c.state = 'live'
                            THEN 'same'
                            ELSE 'notfound'
                       END,
           o.user_id = COALESCE(v.author_id, 0),
           o.seq     = COALESCE(c.comment_id, 0),
           o.id      = GREATEST((v_now - 1735689600000) * 8, COALESCE(v.comment_last, 0) + 1)
                       + o.place - 1,
           o.at      = COALESCE(c.created_at, v_now),
           o.pending = c.comment_id IS NULL OR x.ver IS NOT NULL
     WHERE o.code = 'ok';

    SELECT MAX(o.id)
      INTO v_last
      FROM op AS o
     WHERE o.code = 'ok';

    IF v_last >= 8796093022208 THEN
        SIGNAL SQLSTATE '45503' SET MESSAGE_TEXT = 'no ids left: is the clock of this shard right?';
    END IF;

    UPDATE (SELECT o.slot,
                   o.owner,
                   MAX(o.id) AS last
              FROM op AS o
             WHERE o.code = 'ok'
             GROUP BY o.slot,
                      o.owner) AS d
     STRAIGHT_JOIN video AS v FORCE INDEX (PRIMARY)
        ON v.slot = d.slot
       AND v.video_id = d.owner
       SET v.comment_last = d.last;

    UPDATE op AS o
       SET o.seq = (o.id DIV 8) * 8192 + (o.owner DIV 8 MOD 1024) * 8 + o.id MOD 8
     WHERE o.code = 'ok';

    INSERT INTO comment (slot, video_id, comment_id, author_id, text, ver, created_at, op)
    SELECT o.slot,
           o.owner,
           o.seq,
           o.target,
           t.text,
           o.ver,
           o.at,
           o.op
      FROM op AS o
     STRAIGHT_JOIN op_text AS t
        ON t.n = o.n
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
     WHERE o.code = 'ok';

    CALL _op_video_change();

    -- The stored texts, also for the second half.
    UPDATE op AS o
     STRAIGHT_JOIN op_text AS t
        ON t.n = o.n
     STRAIGHT_JOIN comment AS c FORCE INDEX (PRIMARY)
        ON c.slot = o.slot
       AND c.video_id = o.owner
       AND c.comment_id = o.seq
       SET t.text = c.text
     WHERE o.code = 'same';

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
           IF(o.code IN ('ok', 'same'), o.seq, NULL) AS comment_id,
           IF(o.code IN ('ok', 'same'), o.at, NULL) AS created_at,
           IF(o.code IN ('ok', 'same'), o.target, NULL) AS author_id,
           IF(o.code IN ('ok', 'same'), o.ver, NULL) AS ver,
           IF(o.code IN ('ok', 'same'), o.user_id, NULL) AS video_author_id,
           IF(o.code = 'same', t.text, NULL) AS text,
           IF(o.code IN ('ok', 'same'), o.pending, NULL) AS pending
      FROM op AS o
     STRAIGHT_JOIN op_text AS t
        ON t.n = o.n
     ORDER BY o.n;

    CALL _op_video_answer();
END$$

DELIMITER ;
