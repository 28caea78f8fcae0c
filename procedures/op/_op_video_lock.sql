-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _op_video_lock: lock the video rows of a batch, in the order (slot, video), and copy them.
--
-- For the operations that are ok or same, the videos op.owner, deleted ones included. Called again
-- before COMMIT, it copies their new state. The state of authors is read without a lock, so that a
-- batch that does not change them does not wait for those that do. After the user rows. The LIMIT,
-- which no batch reaches, makes the sorted list a table of its own, which drives the join.
--
-- Touches : SELECT video (by slot and video_id, FOR UPDATE), user (by slot and user_id); SELECT
--           op; DELETE, INSERT op_video (the session's own)
-- Errors  : none
-- Replays : nothing stays

DROP PROCEDURE IF EXISTS _op_video_lock;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _op_video_lock ()
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: lock and copy the video rows of a batch'
BEGIN
    DELETE FROM op_video;

    INSERT INTO op_video (slot, video_id, author_id, title, media, state, author_state,
                          favorite_count, comment_count, published_at, ver, comment_ver,
                          comment_last)
    SELECT v.slot,
           v.video_id,
           v.author_id,
           v.title,
           v.media,
           v.state,
           (SELECT u.state
              FROM user AS u
             WHERE u.slot = v.slot
               AND u.user_id = v.author_id) AS author_state,
           v.favorite_count,
           v.comment_count,
           v.published_at,
           v.ver,
           v.comment_ver,
           v.comment_last
      FROM (SELECT DISTINCT
                   o.slot,
                   o.owner
              FROM op AS o
             WHERE o.code IN ('ok', 'same')
             ORDER BY o.slot,
                      o.owner
             LIMIT 256) AS w
     STRAIGHT_JOIN video AS v FORCE INDEX (PRIMARY)
        ON v.slot = w.slot
       AND v.video_id = w.owner
       FOR UPDATE;
END$$

DELIMITER ;
