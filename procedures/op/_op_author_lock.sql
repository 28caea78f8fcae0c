-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _op_author_lock: lock the inbound parts of the authors of the live videos of a batch, and copy
-- them.
--
-- As _op_inbound_lock, for the authors in op_video, which are known when the videos are locked.
--
-- Touches : SELECT inbound (by slot and user_id, FOR UPDATE); SELECT op_video; DELETE, INSERT
--           op_inbound (the session's own)
-- Errors  : none
-- Replays : nothing stays

DROP PROCEDURE IF EXISTS _op_author_lock;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _op_author_lock ()
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: lock and copy the inbound parts of authors'
BEGIN
    DELETE FROM op_inbound;

    INSERT INTO op_inbound (slot, user_id, state, follower_count, total_favorited, ver,
                            follower_ver, mail_ver)
    SELECT i.slot,
           i.user_id,
           i.state,
           i.follower_count,
           i.total_favorited,
           i.ver,
           i.follower_ver,
           i.mail_ver
      FROM (SELECT DISTINCT
                   v.slot,
                   v.author_id
              FROM op_video AS v
             WHERE v.state = 'live'
             ORDER BY v.slot,
                      v.author_id
             LIMIT 256) AS w
     STRAIGHT_JOIN inbound AS i FORCE INDEX (PRIMARY)
        ON i.slot = w.slot
       AND i.user_id = w.author_id
       FOR UPDATE;
END$$

DELIMITER ;
