-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- viewer_sets: whom a user follows and what he likes, the newest of both.
--
-- in_slot     slot of the user who looks
-- in_epoch    epoch of the slot, as the router believes
-- in_user_id  user who looks
-- in_limit    at most so many of each, 1 to 1000
--
-- For callers that cache them: fewer than in_limit of a kind means that these are all.
-- One row for each; one row whose own columns are NULL when there is none.
--
-- Answer  : n, code, slot, epoch, server, edge_ver, kind (user or video), id
-- Answer 2: as _op_refusals (when this shard does not serve the owner)
-- Codes   : ok notfound (no such user) moved notready
-- Touches : SELECT slot_fence (by slot), owner_home, user (by slot and user_id), follow,
--           favorite (by slot, user_id, state, ver, backwards), in one snapshot
-- Errors  : 45400 an argument is NULL or out of range
-- Replays : reads only

DROP PROCEDURE IF EXISTS viewer_sets;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE viewer_sets (
    IN in_slot    INT UNSIGNED,
    IN in_epoch   BIGINT UNSIGNED,
    IN in_user_id BIGINT UNSIGNED,
    IN in_limit   INT
)
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v1: the newest of what a user follows and likes'
BEGIN
    IF NOT COALESCE(in_slot >= 0
                    AND in_epoch >= 0
                    AND in_user_id > 0
                    AND in_limit BETWEEN 1 AND 1000, FALSE) THEN
        SIGNAL SQLSTATE '45400'
           SET MESSAGE_TEXT = 'viewer_sets needs slot, epoch, user_id, limit 1 to 1000';
    END IF;

    SELECT 1 AS n,
           IF(u.user_id IS NULL, 'notfound', 'ok') AS code,
           f.slot,
           f.epoch,
           f.server,
           GREATEST(u.edge_ver, f.epoch << 33) AS edge_ver,
           l.kind,
           l.id
      FROM slot_fence AS f
      LEFT JOIN owner_home AS h
        ON h.slot = IF(f.has_home = 1, f.slot, NULL)
       AND h.owner_id = in_user_id
      LEFT JOIN user AS u
        ON u.slot = f.slot
       AND u.user_id = in_user_id
       AND u.state <> 'erased'
      LEFT JOIN ((SELECT 'user' AS kind,
                         e.followed_id AS id
                    FROM follow AS e FORCE INDEX (newest)
                   WHERE e.slot = in_slot
                     AND e.user_id = in_user_id
                     AND e.state = 1
                   ORDER BY e.ver DESC
                   LIMIT in_limit)
                  UNION ALL
                 (SELECT 'video' AS kind,
                         e.video_id AS id
                    FROM favorite AS e FORCE INDEX (newest)
                   WHERE e.slot = in_slot
                     AND e.user_id = in_user_id
                     AND e.state = 1
                   ORDER BY e.ver DESC
                   LIMIT in_limit)) AS l
        ON u.user_id IS NOT NULL
     WHERE f.slot = in_slot
       AND f.answer = 'ok'
       AND f.epoch >= in_epoch
       AND h.owner_id IS NULL;

    IF FOUND_ROWS() = 0 THEN
        CALL _op_refusals(JSON_ARRAY(JSON_OBJECT('slot', in_slot, 'epoch', in_epoch,
                                                 'owner', in_user_id)));
    END IF;
END$$

DELIMITER ;
