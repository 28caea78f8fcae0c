-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _op_video_lock: lock the video rows of a batch, in the order (slot, video).
--
-- After the user rows. op.owner is the video; operations on one that is not live end with
-- notfound. Nothing that the procedure reads of a video before this is current, but its
-- author.
--
-- Touches : SELECT video (by slot and video_id, FOR UPDATE); SELECT, UPDATE op
-- Errors  : none
-- Replays : nothing stays

DROP PROCEDURE IF EXISTS _op_video_lock;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _op_video_lock ()
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: lock the video rows of a batch in order'
BEGIN
    DECLARE v_count INT;
    DECLARE v_live  INT;

    SELECT COUNT(*),
           COUNT(v.video_id)
      INTO v_count,
           v_live
      FROM (SELECT DISTINCT
                   o.slot,
                   o.owner
              FROM op AS o
             WHERE o.code = 'ok'
             ORDER BY o.slot,
                      o.owner
             LIMIT 256) AS w
      LEFT JOIN video AS v FORCE INDEX (PRIMARY)
        ON v.slot = w.slot
       AND v.video_id = w.owner
       AND v.state = 'live'
       FOR UPDATE;

    IF v_live < v_count THEN
        UPDATE op AS o
          LEFT JOIN video AS v FORCE INDEX (PRIMARY)
            ON v.slot = o.slot
           AND v.video_id = o.owner
           AND v.state = 'live'
           SET o.code = 'notfound'
         WHERE o.code = 'ok'
           AND v.video_id IS NULL;
    END IF;
END$$

DELIMITER ;
