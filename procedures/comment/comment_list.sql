-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- comment_list: the live comments of one video, newest first.
--
-- in_slot      slot of the video
-- in_epoch     epoch of the slot, as the router believes
-- in_video_id  video
-- in_cursor    comments with smaller ids only; 0: from the newest
-- in_limit     at most so many, 1 to 1000
--
-- A video without comments is one row whose own columns are NULL.
--
-- Answer  : n, code, slot, epoch, server, comment_ver, comment_id, author_id, text, created_at
--           (ms since
--           the Unix epoch)
-- Answer 2: as _op_refusals (when this shard does not serve the owner)
-- Codes   : ok notfound (no live video of a live user) moved notready
-- Touches : SELECT slot_fence (by slot), owner_home, video, user (by slot and
--           id), comment (by slot, video_id, state, comment_id, backwards), in one snapshot
-- Errors  : 45400 an argument is NULL or out of range
-- Replays : reads only

DROP PROCEDURE IF EXISTS comment_list;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE comment_list (
    IN in_slot     INT UNSIGNED,
    IN in_epoch    BIGINT UNSIGNED,
    IN in_video_id BIGINT UNSIGNED,
    IN in_cursor   BIGINT UNSIGNED,
    IN in_limit    INT
)
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v1: the comments of one video'
BEGIN
    DECLARE v_below BIGINT UNSIGNED DEFAULT IF(in_cursor = 0, 18446744073709551615, in_cursor);

    IF NOT COALESCE(in_slot >= 0
                    AND in_epoch >= 0
                    AND in_video_id > 0
                    AND in_cursor >= 0
                    AND in_limit BETWEEN 1 AND 1000, FALSE) THEN
        SIGNAL SQLSTATE '45400'
           SET MESSAGE_TEXT = 'comment_list needs slot, epoch, video_id, cursor, limit 1 to 1000';
    END IF;

    SELECT 1 AS n,
           IF(u.user_id IS NULL, 'notfound', 'ok') AS code,
           f.slot,
           f.epoch,
           f.server,
           GREATEST(v.comment_ver, f.epoch << 33) AS comment_ver,
           l.comment_id,
           l.author_id,
           l.text,
           l.created_at
      FROM slot_fence AS f
      LEFT JOIN owner_home AS h
        ON h.slot = IF(f.has_home = 1, f.slot, NULL)
       AND h.owner_id = in_video_id
      LEFT JOIN video AS v
        ON v.slot = f.slot
       AND v.video_id = in_video_id
       AND v.state = 'live'
      LEFT JOIN user AS u
        ON u.slot = v.slot
       AND u.user_id = v.author_id
       AND u.state = 'live'
      LEFT JOIN (SELECT e.slot,
                        e.video_id,
                        e.comment_id,
                        e.author_id,
                        e.text,
                        e.created_at
                   FROM comment AS e FORCE INDEX (newest)
                  WHERE e.slot = in_slot
                    AND e.video_id = in_video_id
                    AND e.state = 'live'
                    AND e.comment_id < v_below
                  ORDER BY e.comment_id DESC
                  LIMIT in_limit) AS l
        ON l.slot = u.slot
       AND l.video_id = v.video_id
     WHERE f.slot = in_slot
       AND f.answer = 'ok'
       AND f.epoch >= in_epoch
       AND h.owner_id IS NULL
     ORDER BY l.comment_id DESC;

    IF FOUND_ROWS() = 0 THEN
        CALL _op_refusals(JSON_ARRAY(JSON_OBJECT('slot', in_slot, 'epoch', in_epoch,
                                                 'owner', in_video_id)));
    END IF;
END$$

DELIMITER ;
