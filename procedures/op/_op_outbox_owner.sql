-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _op_outbox_owner: find with which user the outbox rows of a batch leave a slot, for the journal.
--
-- op.user_id, which is the owner, becomes the author where the owner is a video: its rows go where
-- its author goes.
--
-- Touches : SELECT video (by slot and id); UPDATE op
-- Errors  : none
-- Replays : nothing stays

DROP PROCEDURE IF EXISTS _op_outbox_owner;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _op_outbox_owner ()
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: with whom outbox rows leave a slot'
BEGIN
    UPDATE op AS o
       SET o.user_id = COALESCE((SELECT v.author_id
                                   FROM video AS v
                                  WHERE v.slot = o.slot
                                    AND v.video_id = o.owner), 0)
     WHERE o.code = 'ok'
       AND o.kind = 'comment';
END$$

DELIMITER ;
