-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _op_author: put the authors of the videos of a batch into op.user_id.
--
-- op.owner is the video. A video never changes its author, so that he is read without a
-- lock: his row is locked before the video's. Operations on a video that never was end
-- with notfound. Each video is looked for once, however many operations it has; op_video
-- then also says whether its author is live, for procedures that change nothing of his row
-- and need no lock on it (an UPDATE that joined it would take one). A change of the
-- table's columns needs a new name for it: pooled connections keep the table they have.
--
-- Touches : SELECT video (by slot and video_id), user (by slot and user_id); SELECT, UPDATE
--           op; CREATE, DELETE, INSERT op_video (the session's own)
-- Errors  : none
-- Replays : nothing stays

DROP PROCEDURE IF EXISTS _op_author;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _op_author ()
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v2: find the authors of the videos of a batch'
BEGIN
    CREATE TEMPORARY TABLE IF NOT EXISTS op_video (
        slot      INT UNSIGNED NOT NULL
            COMMENT 'slot of the video',
        video_id  BIGINT UNSIGNED NOT NULL
            COMMENT 'a video of the batch',
        author_id BIGINT UNSIGNED NOT NULL
            COMMENT 'whose it is',
        live      TINYINT UNSIGNED NOT NULL
            COMMENT '1: so is its author',
        PRIMARY KEY (slot, video_id)
    )
        ENGINE = MEMORY;

    DELETE FROM op_video;

    INSERT INTO op_video (slot, video_id, author_id, live)
    SELECT v.slot,
           v.video_id,
           v.author_id,
           u.user_id IS NOT NULL
      FROM (SELECT DISTINCT
                   o.slot,
                   o.owner
              FROM op AS o
             WHERE o.code = 'ok'
             LIMIT 256) AS w
     STRAIGHT_JOIN video AS v FORCE INDEX (PRIMARY)
        ON v.slot = w.slot
       AND v.video_id = w.owner
      LEFT JOIN user AS u FORCE INDEX (PRIMARY)
        ON u.slot = v.slot
       AND u.user_id = v.author_id
       AND u.state = 'live';

    UPDATE op AS o
      LEFT JOIN op_video AS a
        ON a.slot = o.slot
       AND a.video_id = o.owner
       SET o.user_id = COALESCE(a.author_id, 0),
           o.code    = IF(a.author_id IS NULL, 'notfound', 'ok')
     WHERE o.code = 'ok';
END$$

DELIMITER ;
