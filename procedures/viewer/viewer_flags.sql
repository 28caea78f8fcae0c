-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- viewer_flags: which of these users a user follows, and which of these videos he likes.
--
-- in_slot     slot of the user who looks
-- in_epoch    epoch of the slot, as the router believes
-- in_user_id  user who looks
-- in_users    JSON array of user ids, at most 1000; may be empty
-- in_videos   JSON array of video ids, at most 1000; may be empty
--
-- One row for each that he does; one row whose own columns are NULL when there is none.
--
-- Answer  : n, code, slot, epoch, server, kind (user or video), id
-- Answer 2: as _op_refusals (when this shard does not serve the owner)
-- Codes   : ok moved notready
-- Touches : SELECT slot_fence (by slot), owner_home (by slot and user_id),
--           follow, favorite (by key), in one snapshot
-- Errors  : 45400 an argument is NULL or no such array
-- Replays : reads only

DROP PROCEDURE IF EXISTS viewer_flags;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE viewer_flags (
    IN in_slot    INT UNSIGNED,
    IN in_epoch   BIGINT UNSIGNED,
    IN in_user_id BIGINT UNSIGNED,
    IN in_users   JSON,
    IN in_videos  JSON
)
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v1: what a user follows and likes of these'
BEGIN
    IF NOT COALESCE(in_slot >= 0
                    AND in_epoch >= 0
                    AND in_user_id > 0
                    AND JSON_TYPE(in_users) = 'ARRAY'
                    AND JSON_LENGTH(in_users) <= 1000
                    AND JSON_TYPE(in_videos) = 'ARRAY'
                    AND JSON_LENGTH(in_videos) <= 1000, FALSE) THEN
        SIGNAL SQLSTATE '45400'
           SET MESSAGE_TEXT = 'viewer_flags needs slot, epoch, user_id, arrays of at most 1000 ids';
    END IF;

    SELECT 1 AS n,
           'ok' AS code,
           f.slot,
           f.epoch,
           f.server,
           l.kind,
           l.id
      FROM slot_fence AS f
      LEFT JOIN owner_home AS h
        ON h.slot = IF(f.has_home = 1, f.slot, NULL)
       AND h.owner_id = in_user_id
      LEFT JOIN (SELECT 'user' AS kind,
                        e.followed_id AS id
                   FROM JSON_TABLE(in_users, '$[*]' COLUMNS (
                            id BIGINT UNSIGNED PATH '$'
                        )) AS a
                  STRAIGHT_JOIN follow AS e FORCE INDEX (PRIMARY)
                     ON e.slot = in_slot
                    AND e.user_id = in_user_id
                    AND e.followed_id = a.id
                    AND e.state = 1
                  UNION
                 SELECT 'video' AS kind,
                        e.video_id AS id
                   FROM JSON_TABLE(in_videos, '$[*]' COLUMNS (
                            id BIGINT UNSIGNED PATH '$'
                        )) AS a
                  STRAIGHT_JOIN favorite AS e FORCE INDEX (PRIMARY)
                     ON e.slot = in_slot
                    AND e.user_id = in_user_id
                    AND e.video_id = a.id
                    AND e.state = 1) AS l
        ON TRUE
     WHERE f.slot = in_slot
       AND f.answer = 'ok'
       AND f.epoch >= in_epoch
       AND h.owner_id IS NULL
     ORDER BY l.kind,
              l.id;

    IF FOUND_ROWS() = 0 THEN
        CALL _op_refusals(JSON_ARRAY(JSON_OBJECT('slot', in_slot, 'epoch', in_epoch,
                                                 'owner', in_user_id)));
    END IF;
END$$

DELIMITER ;
