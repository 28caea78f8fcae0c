-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- outbox_undo: undo first halves whose target refused the second.
--
-- in_ops  batch; owner is the actor (comment: the video); each operation has
--           kind    follow, favorite, comment or message
--           target  owner of the second half
--           seq     number of the message, id of the comment; 0 for edges
--           ver     version that was refused
--
-- follow, favorite  becomes a tombstone of the same version, if it still has that version; the
--                   next pass of purge_step removes it: its time is 0
-- message           is shown to nobody any more
-- comment           is deleted, with its text, when it was its posting (version 1) that was
--                   refused: its author is gone
-- The counter is corrected, and the outbox row is removed. Without a row of that version nothing is
-- undone: it was delivered, or there is a newer one. The owners need not be live.
--
-- Answer  : n, code, slot, epoch, server
-- Answer 2: as _op_user_answer
-- Answer 3: as _op_video_answer (of comments)
-- Codes   : ok same (nothing has that version any more) moved notready
-- Touches : SELECT, UPDATE user, video (by slot and id), follow, favorite, comment, message,
--           chat (by key); SELECT, UPDATE, DELETE outbox (by key); journal
-- Errors  : 45400 malformed batch, or two operations on one row
-- Replays : same

DROP PROCEDURE IF EXISTS outbox_undo;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE outbox_undo (
    IN in_ops JSON
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v4 serves v3: take back what the target refused'
BEGIN
    DECLARE v_moving TINYINT;

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

    -- Users, then videos; erased and deleted ones too.
    CALL _op_user_lock();
    CALL _op_video_lock();
    CALL _op_outbox_lock();

    CALL _outbox_undo();

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
