-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _erase_videos: delete videos of an erased user, and empty the titles of deleted ones.
--
-- in_slot     slot of the user; NULL: nothing is done
-- in_user_id  the user, whose row is locked
-- in_moving   1: changes are to be journaled
-- in_limit    at most so many of each
--
-- Adds operations of kind video (deleted) and title (emptied) to op; owner is the video.
--
-- Touches : SELECT, UPDATE user, video, inbound (by slot and id; video by author); INSERT job;
--           journal
-- Errors  : none
-- Replays : goes on with what is left

DROP PROCEDURE IF EXISTS _erase_videos;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _erase_videos (
    IN in_slot    INT UNSIGNED,
    IN in_user_id BIGINT UNSIGNED,
    IN in_moving  TINYINT,
    IN in_limit   INT
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: delete videos of an erased user'
BEGIN
    DECLARE v_last  INT;
    DECLARE v_epoch BIGINT UNSIGNED;

    SELECT MAX(o.n),
           MAX(o.epoch)
      INTO v_last,
           v_epoch
      FROM op AS o;

    -- Under the lock of their author no video changes its state.
    INSERT INTO op (n, slot, epoch, owner, user_id, moving, kind)
    SELECT ROW_NUMBER() OVER (ORDER BY t.video_id) + v_last,
           in_slot,
           v_epoch,
           t.video_id,
           in_user_id,
           in_moving,
           'video'
      FROM (SELECT v.video_id
              FROM video AS v FORCE INDEX (author)
             WHERE v.slot = in_slot
               AND v.author_id = in_user_id
               AND v.state = 'live'
             ORDER BY v.video_id
             LIMIT in_limit) AS t;

    CALL _op_video_lock();
    CALL _video_delete();

    SELECT MAX(o.n)
      INTO v_last
      FROM op AS o;

    INSERT INTO op (n, slot, epoch, owner, user_id, moving, kind)
    SELECT ROW_NUMBER() OVER (ORDER BY t.video_id) + v_last,
           in_slot,
           v_epoch,
           t.video_id,
           in_user_id,
           in_moving,
           'title'
      FROM (SELECT v.video_id
              FROM video AS v FORCE INDEX (author)
             WHERE v.slot = in_slot
               AND v.author_id = in_user_id
               AND v.state = 'deleted'
               AND LENGTH(v.title) > 0
             ORDER BY v.video_id
             LIMIT in_limit) AS t;

    UPDATE op AS o
     STRAIGHT_JOIN video AS v FORCE INDEX (PRIMARY)
        ON v.slot = o.slot
       AND v.video_id = o.owner
       SET v.title = '',
           v.ver   = GREATEST(v.ver, v_epoch << 33) + 1
     WHERE o.kind = 'title';

    IF in_moving THEN
        INSERT INTO slot_log (slot, tbl, owner, k1)
        SELECT o.slot,
               'video',
               o.user_id,
               o.owner
          FROM op AS o
         WHERE o.kind = 'title';
    END IF;
END$$

DELIMITER ;
