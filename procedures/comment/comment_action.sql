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
-- video.comment_last and unique per video. The outbox remembers that the second half,
-- comment_deliver, is to be made at the author of the comment. At most one operation per op.
--
-- Answer  : n, code, slot, epoch, server, comment_id, created_at (ms since the Unix epoch),
--           author_id (of the comment), ver (1), video_author_id, text (for same: what is
--           stored), pending (1: the second half is still to be made)
-- Codes   : ok same mismatch (the op was used by another user) notfound (no live video of a
--           live user, or the comment was deleted since) moved notready
-- Touches : SELECT user (by slot and user_id); SELECT, UPDATE video (by slot and video_id);
--           SELECT, INSERT comment (by slot, video_id, op); INSERT outbox (by key); journal
-- Errors  : 45400 malformed batch, or two operations with one op   45503 the clock is beyond
--           the 40 bits of an id
-- Replays : same with id, time and text of the first one. The text of the replay is not
--           used: words may be masked in one and not in the other, when their list has
--           changed in between. The op is looked for under the lock of the video, so that
--           two racing replays cannot both miss it.

DROP PROCEDURE IF EXISTS comment_action;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE comment_action (
    IN in_ops JSON
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v2: comment on videos'
BEGIN
    DECLARE v_n      INT;
    DECLARE v_twice  INT;
    DECLARE v_moving TINYINT;
    DECLARE v_now    BIGINT;
    DECLARE v_last   BIGINT;

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    CALL _op_open(in_ops);

    SELECT MIN(IF(COALESCE(j.owner <> '0'
                           AND CAST(CAST(j.user_id AS UNSIGNED) AS CHAR) = j.user_id
                           AND j.user_id <> '0'
                           AND LENGTH(j.op) = 32 AND UNHEX(j.op) IS NOT NULL
                           AND CHAR_LENGTH(j.text) BETWEEN 1 AND 1000, FALSE), NULL, j.n)),
           COUNT(*) - COUNT(DISTINCT j.owner, UNHEX(j.op))
      INTO v_n,
           v_twice
      FROM JSON_TABLE(in_ops, '$[*]' COLUMNS (
               n       FOR ORDINALITY,
               owner   VARCHAR(24) PATH '$.owner',
               user_id VARCHAR(24) PATH '$.user',
               op      VARCHAR(33) PATH '$.op',
               text    VARCHAR(1001) PATH '$.text'
           )) AS j;

    CALL _op_refuse(v_n, 'owner, user, op and text of 1 to 1000 characters');

    IF v_twice > 0 THEN
        SIGNAL SQLSTATE '45400' SET MESSAGE_TEXT = 'a batch holds at most one operation per op';
    END IF;

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    CALL _op_fence();

    UPDATE JSON_TABLE(in_ops, '$[*]' COLUMNS (
               n       FOR ORDINALITY,
               user_id BIGINT UNSIGNED PATH '$.user'
           )) AS j
     STRAIGHT_JOIN op AS o
        ON o.n = j.n
       SET o.kind   = 'comment',
           o.target = j.user_id,
           o.ver    = 1;

    CALL _op_place();

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

    -- Comments that are there.
    UPDATE JSON_TABLE(in_ops, '$[*]' COLUMNS (
               n  FOR ORDINALITY,
               op VARCHAR(32) PATH '$.op'
           )) AS j
     STRAIGHT_JOIN op AS o
        ON o.n = j.n
     STRAIGHT_JOIN comment AS c FORCE INDEX (op)
        ON c.slot = o.slot
       AND c.video_id = o.owner
       AND c.op = UNHEX(j.op)
       SET o.code = CASE WHEN c.author_id <> o.target
                         THEN 'mismatch'
                         WHEN c.state = 'live'
                         THEN 'same'
                         ELSE 'notfound'
                    END,
           o.seq  = c.comment_id,
           o.at   = c.created_at
     WHERE o.code = 'ok';

    -- New ones: their numbers follow those of their video.
    SET v_now = _now_ms();

    UPDATE op AS o
     STRAIGHT_JOIN video AS v FORCE INDEX (PRIMARY)
        ON v.slot = o.slot
       AND v.video_id = o.owner
       SET o.at = GREATEST((v_now - 1735689600000) * 8, v.comment_last + 1) + o.place - 1
     WHERE o.code = 'ok';

    SELECT MAX(o.at)
      INTO v_last
      FROM op AS o
     WHERE o.code = 'ok';

    IF v_last >= 8796093022208 THEN
        SIGNAL SQLSTATE '45503' SET MESSAGE_TEXT = 'no ids left: is the clock of this shard right?';
    END IF;

    UPDATE (SELECT o.slot,
                   o.owner,
                   MAX(o.at) AS last,
                   COUNT(*) AS comments
              FROM op AS o
             WHERE o.code = 'ok'
             GROUP BY o.slot,
                      o.owner) AS d
     STRAIGHT_JOIN video AS v FORCE INDEX (PRIMARY)
        ON v.slot = d.slot
       AND v.video_id = d.owner
       SET v.comment_last  = d.last,
           v.comment_count = v.comment_count + d.comments,
           v.ver           = v.ver + 1;

    UPDATE op AS o
       SET o.seq = (o.at DIV 8) * 8192 + (o.owner DIV 8 MOD 1024) * 8 + o.at MOD 8
     WHERE o.code = 'ok';

    UPDATE op AS o
       SET o.at = v_now
     WHERE o.code = 'ok';

    INSERT INTO comment (slot, video_id, comment_id, author_id, text, ver, created_at, op)
    SELECT o.slot,
           o.owner,
           o.seq,
           o.target,
           j.text,
           o.ver,
           o.at,
           UNHEX(j.op)
      FROM JSON_TABLE(in_ops, '$[*]' COLUMNS (
               n    FOR ORDINALITY,
               op   VARCHAR(32) PATH '$.op',
               text VARCHAR(1000) PATH '$.text'
           )) AS j
     STRAIGHT_JOIN op AS o
        ON o.n = j.n
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
     ORDER BY o.slot,
              o.owner,
              o.target,
              o.seq;

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
           IF(o.code IN ('ok', 'same'), o.seq, NULL) AS comment_id,
           IF(o.code IN ('ok', 'same'), o.at, NULL) AS created_at,
           IF(o.code IN ('ok', 'same'), o.target, NULL) AS author_id,
           IF(o.code IN ('ok', 'same'), o.ver, NULL) AS ver,
           IF(o.code IN ('ok', 'same'), o.user_id, NULL) AS video_author_id,
           c.text,
           IF(o.code IN ('ok', 'same'), x.ver IS NOT NULL, NULL) AS pending
      FROM op AS o
      LEFT JOIN outbox AS x FORCE INDEX (PRIMARY)
        ON x.slot = IF(o.code IN ('ok', 'same'), o.slot, NULL)
       AND x.actor_id = o.owner
       AND x.kind = o.kind
       AND x.target_id = o.target
       AND x.seq = o.seq
       AND x.ver = o.ver
      LEFT JOIN comment AS c FORCE INDEX (PRIMARY)
        ON c.slot = IF(o.code = 'same', o.slot, NULL)
       AND c.video_id = o.owner
       AND c.comment_id = o.seq
     ORDER BY o.n;
END$$

DELIMITER ;
