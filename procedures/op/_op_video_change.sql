-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _op_video_change: count what a batch changed at its videos, in their rows and their copies.
--
-- Of the operations that are ok: kind favorite changes favorite_count, kind comment
-- comment_count, by state - was. Both raise the version of the card, comment that of the list of
-- comments, too.
--
-- Touches : SELECT op; UPDATE video (by slot and video_id), op_video (the session's own)
-- Errors  : none
-- Replays : counts again: once per batch

DROP PROCEDURE IF EXISTS _op_video_change;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _op_video_change ()
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: count what a batch changed at its videos'
BEGIN
    UPDATE (SELECT o.slot,
                   o.owner,
                   MAX(o.epoch) << 33 AS floor,
                   SUM(IF(o.kind = 'favorite', o.state - o.was, 0)) AS likes,
                   SUM(IF(o.kind = 'comment', o.state - o.was, 0)) AS comments,
                   MAX(o.kind = 'comment') AS lists
              FROM op AS o
             WHERE o.code = 'ok'
               AND o.kind IN ('favorite', 'comment')
             GROUP BY o.slot,
                      o.owner) AS d
     STRAIGHT_JOIN op_video AS m
        ON m.slot = d.slot
       AND m.video_id = d.owner
     STRAIGHT_JOIN video AS v FORCE INDEX (PRIMARY)
        ON v.slot = d.slot
       AND v.video_id = d.owner
       SET m.favorite_count = m.favorite_count + d.likes,
           v.favorite_count = v.favorite_count + d.likes,
           m.comment_count  = m.comment_count + d.comments,
           v.comment_count  = v.comment_count + d.comments,
           m.ver            = GREATEST(m.ver, d.floor) + 1,
           v.ver            = GREATEST(v.ver, d.floor) + 1,
           m.comment_ver    = IF(d.lists, GREATEST(m.comment_ver, d.floor) + 1, m.comment_ver),
           v.comment_ver    = IF(d.lists, GREATEST(v.comment_ver, d.floor) + 1, v.comment_ver);
END$$

DELIMITER ;
