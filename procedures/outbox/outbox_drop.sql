-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- outbox_drop: give up a parked second half, and undo the first.
--
-- in_owner   user, or video (of comments), whose write it is; the four as in outbox_parked
-- in_kind    follow, favorite, comment or message
-- in_target  owner of the second half
-- in_seq     number of the message, id of the comment; 0 for edges
--
-- As if the target had refused it, so that both halves agree again: a follow or like becomes a
-- tombstone, a comment that was posted is deleted. A message is taken back: its parties no longer
-- see it, and its number goes to the peer without a text, so that later messages can follow;
-- dropped again, it is removed with its number. Use it when no retry can help. The target may have
-- the half all the same, if only its answers were lost: run shardctl audit afterwards.
--
-- Answer  : n, code, slot, epoch, server
-- Answer 2: as _op_user_answer
-- Answer 3: as _op_video_answer (of comments)
-- Codes   : ok same (an unfollow, unlike or deletion, which the target has still to hear of: the
--           row stays) notfound (no such row is parked) moved notready
-- Touches : SELECT, UPDATE user, video (by slot and id), follow, favorite, comment, message,
--           chat (by key); SELECT, UPDATE, DELETE outbox (by key); journal
-- Errors  : 45400 an argument is NULL, or there is no such kind
-- Replays : notfound

DROP PROCEDURE IF EXISTS outbox_drop;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE outbox_drop (
    IN in_owner  BIGINT UNSIGNED,
    IN in_kind   VARCHAR(16),
    IN in_target BIGINT UNSIGNED,
    IN in_seq    BIGINT UNSIGNED
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: give up a second half that is parked'
BEGIN
    DECLARE v_ops    JSON;
    DECLARE v_moving TINYINT;

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    IF NOT COALESCE(in_owner BETWEEN 1 AND 9007199254740991
                    AND in_kind IN ('follow', 'favorite', 'comment', 'message')
                    AND in_target > 0
                    AND in_seq >= 0, FALSE) THEN
        SIGNAL SQLSTATE '45400'
           SET MESSAGE_TEXT = 'outbox_drop needs owner, kind, target and seq, as in outbox_parked';
    END IF;

    SET v_ops = _op_home(in_owner);

    CALL _op_open(v_ops);

    UPDATE op AS o
       SET o.kind   = in_kind,
           o.target = in_target,
           o.seq    = in_seq;

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    CALL _op_fence(v_moving);

    -- The present version, checked again under the lock. Rows of a video move with its author.
    UPDATE op AS o
      LEFT JOIN outbox AS x FORCE INDEX (PRIMARY)
        ON x.slot = o.slot
       AND x.actor_id = o.owner
       AND x.kind = o.kind
       AND x.target_id = o.target
       AND x.seq = o.seq
       AND x.parked = 1
      LEFT JOIN video AS v FORCE INDEX (PRIMARY)
        ON v.slot = IF(o.kind = 'comment', o.slot, NULL)
       AND v.video_id = o.owner
       SET o.code    = IF(x.ver IS NULL, 'notfound', 'ok'),
           o.ver     = COALESCE(x.ver, 0),
           o.user_id = COALESCE(v.author_id, o.owner)
     WHERE o.code = 'ok';

    CALL _op_user_lock();
    CALL _op_video_lock();
    CALL _op_outbox_lock();

    UPDATE op AS o
      LEFT JOIN outbox AS x FORCE INDEX (PRIMARY)
        ON x.slot = o.slot
       AND x.actor_id = o.owner
       AND x.kind = o.kind
       AND x.target_id = o.target
       AND x.seq = o.seq
       AND x.parked = 1
       SET o.code = 'notfound'
     WHERE o.code IN ('ok', 'same')
       AND x.ver IS NULL;

    -- A half that takes something away cannot be undone here: the target would keep it.
    UPDATE op AS o
      LEFT JOIN follow AS fo FORCE INDEX (PRIMARY)
        ON fo.slot = IF(o.kind = 'follow', o.slot, NULL)
       AND fo.user_id = o.owner
       AND fo.followed_id = o.target
       AND fo.ver = o.ver
       AND fo.state = 1
      LEFT JOIN favorite AS fa FORCE INDEX (PRIMARY)
        ON fa.slot = IF(o.kind = 'favorite', o.slot, NULL)
       AND fa.user_id = o.owner
       AND fa.video_id = o.target
       AND fa.ver = o.ver
       AND fa.state = 1
      LEFT JOIN comment AS co FORCE INDEX (PRIMARY)
        ON co.slot = IF(o.kind = 'comment', o.slot, NULL)
       AND co.video_id = o.owner
       AND co.comment_id = o.seq
       AND co.ver = o.ver
       AND co.state = 'live'
       SET o.code = 'same'
     WHERE o.code = 'ok'
       AND o.kind <> 'message'
       AND COALESCE(fo.ver, fa.ver, co.ver) IS NULL;

    -- A message with a text goes on without it, under a new version, so that a delivery of the old
    -- one does not remove the row.
    UPDATE op AS o
     STRAIGHT_JOIN message AS m FORCE INDEX (seq)
        ON m.slot = o.slot
       AND m.user_id = o.owner
       AND m.peer_id = o.target
       AND m.sent = 1
       AND m.seq = o.seq
     STRAIGHT_JOIN outbox AS x FORCE INDEX (PRIMARY)
        ON x.slot = o.slot
       AND x.actor_id = o.owner
       AND x.kind = o.kind
       AND x.target_id = o.target
       AND x.seq = o.seq
       SET o.was      = 1,
           o.at       = m.at,
           m.state    = 0,
           x.ver      = 2,
           x.parked   = 0,
           x.attempts = 0,
           x.due_at   = _now_ms()
     WHERE o.code = 'ok'
       AND o.kind = 'message'
       AND m.state = 1;

    IF ROW_COUNT() > 0 THEN
        CALL _op_chat_last();
        CALL _slot_log_add_undo();
        CALL _slot_log_add_ops('outbox');
        CALL _op_user_change();
    ELSE
        CALL _outbox_undo();
    END IF;

    COMMIT;

    SELECT o.n,
           o.code,
           o.slot,
           o.epoch,
           o.server
      FROM op AS o
     ORDER BY o.n;

    CALL _op_user_answer();
    CALL _op_video_answer();
END$$

DELIMITER ;
