-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- favorite_deliver: the second half of a like or unlike, at the video.
--
-- in_ops  batch; owner is the video; each operation has
--           actor  who likes
--           state  1: likes; 0: does not
--           ver    version that favorite_action gave to the edge
--           at     its time, ms since the Unix epoch
--
-- Applied only when the version is newer than that of the row, so that it may be called
-- twice and out of order. At most one operation per edge.
--
-- Answer  : n, code, slot, epoch, server
-- Answer 2: as _op_video_answer
-- Answer 3: as _op_inbound_answer (the authors)
-- Codes   : ok same (not newer) notfound (no live video of a live
--           user; nothing changes) moved notready
-- Touches : SELECT, UPDATE video, inbound (by slot and id); SELECT, INSERT, UPDATE liker (by slot,
--           video_id, user_id); journal
-- Errors  : 45400 malformed batch, or two operations on one edge
-- Replays : same. Counters change by what the row was and is, both under the lock of the
--           owner.

DROP PROCEDURE IF EXISTS favorite_deliver;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE favorite_deliver (
    IN in_ops JSON
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: second half of a like'
BEGIN
    DECLARE v_is_done TINYINT DEFAULT 0;

    IF LOCATE('},{', in_ops) = 0 THEN
        CALL _favorite_deliver_one(in_ops, v_is_done);
    ELSE
        CALL _favorite_deliver_hot(in_ops, v_is_done);
    END IF;

    IF NOT v_is_done THEN
        CALL _favorite_deliver_batch(in_ops);
    END IF;
END$$

DELIMITER ;
