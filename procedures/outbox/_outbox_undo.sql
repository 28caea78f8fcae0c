-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _outbox_undo: take back the first halves of a batch, and remove their outbox rows.
--
-- Of the operations that are ok, whose rows are locked: users, videos, outbox. See outbox_undo.
-- Sets op.was where there was something to take back.
--
-- Touches : SELECT, UPDATE op, follow, favorite, comment, message (by key); SELECT, UPDATE chat
--           (by key); UPDATE user, video (by slot and id); UPDATE, DELETE outbox (by key);
--           journal
-- Errors  : none
-- Replays : changes nothing more

DROP PROCEDURE IF EXISTS _outbox_undo;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _outbox_undo ()
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: take back the first halves of a batch'
BEGIN
    -- was: the edge, comment or message is there and has that version.
    UPDATE op AS o
     STRAIGHT_JOIN follow AS e FORCE INDEX (PRIMARY)
        ON e.slot = o.slot
       AND e.user_id = o.owner
       AND e.followed_id = o.target
       SET o.was   = 1,
           e.state = 0,
           e.at    = 0
     WHERE o.code = 'ok'
       AND o.kind = 'follow'
       AND e.ver = o.ver
       AND e.state = 1;

    UPDATE op AS o
     STRAIGHT_JOIN favorite AS e FORCE INDEX (PRIMARY)
        ON e.slot = o.slot
       AND e.user_id = o.owner
       AND e.video_id = o.target
       SET o.was   = 1,
           e.state = 0,
           e.at    = 0
     WHERE o.code = 'ok'
       AND o.kind = 'favorite'
       AND e.ver = o.ver
       AND e.state = 1;

    UPDATE op AS o
     STRAIGHT_JOIN message AS m FORCE INDEX (seq)
        ON m.slot = o.slot
       AND m.user_id = o.owner
       AND m.peer_id = o.target
       AND m.sent = 1
       AND m.seq = o.seq
       SET o.was   = 1,
           o.at    = m.at,
           m.state = 0
     WHERE o.code = 'ok'
       AND o.kind = 'message'
       AND o.ver = 1
       AND m.state = 1;

    UPDATE op AS o
     STRAIGHT_JOIN comment AS c FORCE INDEX (PRIMARY)
        ON c.slot = o.slot
       AND c.video_id = o.owner
       AND c.comment_id = o.seq
       AND c.author_id = o.target
       SET o.was   = 1,
           c.state = 'deleted',
           c.text  = ''
     WHERE o.code = 'ok'
       AND o.kind = 'comment'
       AND o.ver = 1
       AND c.ver = 1
       AND c.state = 'live';

    CALL _op_chat_last();

    CALL _op_outbox_remove();

    CALL _slot_log_add_undo();

    -- If nothing had that version, nothing has changed.
    UPDATE op AS o
       SET o.kind = ''
     WHERE o.code = 'ok'
       AND o.was = 0;

    CALL _op_user_change();
    CALL _op_video_change();
END$$

DELIMITER ;
