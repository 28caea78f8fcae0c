-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- outbox_again: have second halves made again that the other shard has lost.
--
-- in_ops  batch; owner is the actor (comment: the video); each operation has
--           kind    follow, favorite or comment
--           target  owner of the second half
--           seq     id of the comment; 0 for edges
--           ver     version of the first half
--
-- For shardctl verify of a shard that was restored from a backup. If the first half still has that
-- version, it gets an outbox row as when it was new; the relay delivers it, or undoes it if the
-- target is gone. Messages are repaired by chat_repair.
--
-- Answer  : n, code, slot, epoch, server
-- Codes   : ok same (it waits, or has another version) moved notready
-- Touches : SELECT user, video (by slot and id, FOR UPDATE), follow, favorite, comment (by key);
--           SELECT, INSERT outbox (by key); journal
-- Errors  : 45400 malformed batch, or two operations on one row
-- Replays : same

DROP PROCEDURE IF EXISTS outbox_again;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE outbox_again (
    IN in_ops JSON
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: let second halves be made again'
BEGIN
    DECLARE v_moving TINYINT;
    DECLARE v_now    BIGINT DEFAULT _now_ms();

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    CALL _op_open(in_ops);
    CALL _op_outbox(in_ops);

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    CALL _op_fence(v_moving);

    CALL _op_outbox_owner();

    CALL _op_user_lock();
    CALL _op_video_lock();

    UPDATE op AS o
      LEFT JOIN follow AS fo FORCE INDEX (PRIMARY)
        ON fo.slot = IF(o.kind = 'follow', o.slot, NULL)
       AND fo.user_id = o.owner
       AND fo.followed_id = o.target
      LEFT JOIN favorite AS fa FORCE INDEX (PRIMARY)
        ON fa.slot = IF(o.kind = 'favorite', o.slot, NULL)
       AND fa.user_id = o.owner
       AND fa.video_id = o.target
      LEFT JOIN comment AS co FORCE INDEX (PRIMARY)
        ON co.slot = IF(o.kind = 'comment', o.slot, NULL)
       AND co.video_id = o.owner
       AND co.comment_id = o.seq
       AND co.author_id = o.target
      LEFT JOIN outbox AS x FORCE INDEX (PRIMARY)
        ON x.slot = o.slot
       AND x.actor_id = o.owner
       AND x.kind = o.kind
       AND x.target_id = o.target
       AND x.seq = o.seq
       SET o.code = IF(x.ver IS NULL AND COALESCE(fo.ver, fa.ver, co.ver) = o.ver, 'ok', 'same'),
           o.at   = COALESCE(fo.at, fa.at, co.created_at, 0)
     WHERE o.code = 'ok';

    INSERT INTO outbox (slot, actor_id, kind, target_id, seq, ver, at, due_at)
    SELECT o.slot,
           o.owner,
           o.kind,
           o.target,
           o.seq,
           o.ver,
           o.at,
           v_now
      FROM op AS o
     WHERE o.code = 'ok';

    IF v_moving THEN
        CALL _slot_log_add_ops('outbox');
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
