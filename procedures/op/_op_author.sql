-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _op_author: put the authors of the videos of a batch into op.user_id.
--
-- op.owner is the video. A video never changes its author, so that he is read without a
-- lock: his row is locked before the video's. Operations on a video that never was end
-- with notfound.
--
-- Touches : SELECT video (by slot and video_id); SELECT, UPDATE op
-- Errors  : none
-- Replays : nothing stays

DROP PROCEDURE IF EXISTS _op_author;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _op_author ()
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: find the authors of the videos of a batch'
BEGIN
    UPDATE op AS o
       SET o.user_id = COALESCE((SELECT v.author_id
                                   FROM video AS v
                                  WHERE v.slot = o.slot
                                    AND v.video_id = o.owner), 0)
     WHERE o.code = 'ok';

    UPDATE op AS o
       SET o.code = 'notfound'
     WHERE o.code = 'ok'
       AND o.user_id = 0;
END$$

DELIMITER ;
