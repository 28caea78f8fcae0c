-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _op_video_hold: lock the video rows of a batch in order, live or not.
--
-- Of the operations of kind comment with code ok; owner is the video.
--
-- Touches : SELECT op, video (by slot and video_id, FOR UPDATE)
-- Errors  : none
-- Replays : locks

DROP PROCEDURE IF EXISTS _op_video_hold;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _op_video_hold ()
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v1: lock the video rows of a batch, live or not'
BEGIN
    DECLARE v_count INT;

    SELECT COUNT(*)
      INTO v_count
      FROM (SELECT DISTINCT
                   o.slot,
                   o.owner
              FROM op AS o
             WHERE o.code = 'ok'
               AND o.kind = 'comment'
             ORDER BY o.slot,
                      o.owner
             LIMIT 256) AS w
     STRAIGHT_JOIN video AS v FORCE INDEX (PRIMARY)
        ON v.slot = w.slot
       AND v.video_id = w.owner
       FOR UPDATE;
END$$

DELIMITER ;
