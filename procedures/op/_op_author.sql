-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _op_author: put the authors of the videos of a batch into op.user_id.
--
-- op.owner is the video. A video never changes its author, so he is read without a lock, because
-- his row must be locked before the video's. Operations on a video that never existed end with
-- notfound.
--
-- Touches : SELECT video (by slot and video_id); SELECT, UPDATE op; DELETE, INSERT op_author (the
--           session's own)
-- Errors  : none
-- Replays : nothing stays

DROP PROCEDURE IF EXISTS _op_author;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _op_author ()
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v2: find the authors of the videos of a batch'
BEGIN
    DELETE FROM op_author;

    -- An UPDATE that joined video would lock its rows.
    INSERT INTO op_author (n, author_id)
    SELECT o.n,
           v.author_id
      FROM op AS o
     STRAIGHT_JOIN video AS v FORCE INDEX (PRIMARY)
        ON v.slot = o.slot
       AND v.video_id = o.owner
     WHERE o.code = 'ok';

    UPDATE op AS o
      LEFT JOIN op_author AS a
        ON a.n = o.n
       SET o.user_id = COALESCE(a.author_id, 0),
           o.code    = IF(a.author_id IS NULL, 'notfound', 'ok')
     WHERE o.code = 'ok';
END$$

DELIMITER ;
