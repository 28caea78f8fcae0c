-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _op_author: put the authors of the videos of a batch into op.user_id.
--
-- op.owner is the video. A video never changes its author, so that he is read without a
-- lock: his row is locked before the video's. Operations on a video that never was end
-- with notfound. Each video is looked for once, however many operations it has.
--
-- Touches : SELECT video (by slot and video_id); SELECT, UPDATE op; CREATE, DELETE, INSERT
--           op_author (the session's own)
-- Errors  : none
-- Replays : nothing stays

DROP PROCEDURE IF EXISTS _op_author;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _op_author ()
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: find the authors of the videos of a batch'
BEGIN
    CREATE TEMPORARY TABLE IF NOT EXISTS op_author (
        slot      INT UNSIGNED NOT NULL
            COMMENT 'slot of the video',
        video_id  BIGINT UNSIGNED NOT NULL
            COMMENT 'a video of the batch',
        author_id BIGINT UNSIGNED NOT NULL
            COMMENT 'whose it is',
        PRIMARY KEY (slot, video_id)
    )
        ENGINE = MEMORY;

    DELETE FROM op_author;

    INSERT INTO op_author (slot, video_id, author_id)
    SELECT v.slot,
           v.video_id,
           v.author_id
      FROM (SELECT DISTINCT
                   o.slot,
                   o.owner
              FROM op AS o
             WHERE o.code = 'ok'
             LIMIT 256) AS w
     STRAIGHT_JOIN video AS v FORCE INDEX (PRIMARY)
        ON v.slot = w.slot
       AND v.video_id = w.owner;

    UPDATE op AS o
      LEFT JOIN op_author AS a
        ON a.slot = o.slot
       AND a.video_id = o.owner
       SET o.user_id = COALESCE(a.author_id, 0),
           o.code    = IF(a.author_id IS NULL, 'notfound', 'ok')
     WHERE o.code = 'ok';
END$$

DELIMITER ;
