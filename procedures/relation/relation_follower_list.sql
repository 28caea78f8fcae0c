-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- relation_follower_list: who follows a user.
--
-- in_slot     slot of the user
-- in_epoch    epoch of the slot, as the router believes
-- in_user_id  user
-- in_cursor   only what comes after the row with this cursor; 0: from the newest
-- in_limit    at most so many, 1 to 1000
--
-- Newest first. An empty list is one row whose own columns are NULL.
--
-- Answer  : n, code, slot, epoch, server, follower_ver, peer_id, cursor
-- Answer 2: as _op_refusals (when this shard does not serve the owner)
-- Codes   : ok notfound moved notready
-- Touches : SELECT slot_fence (by slot), owner_home, user, inbound (by slot and user_id),
--           follower (by slot, user_id, state, pos, backwards), in one snapshot
-- Errors  : 45400 an argument is NULL or out of range
-- Replays : reads only

DROP PROCEDURE IF EXISTS relation_follower_list;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE relation_follower_list (
    IN in_slot    INT UNSIGNED,
    IN in_epoch   BIGINT UNSIGNED,
    IN in_user_id BIGINT UNSIGNED,
    IN in_cursor  BIGINT UNSIGNED,
    IN in_limit   INT
)
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v1: who follows a user'
BEGIN
    DECLARE v_below BIGINT UNSIGNED DEFAULT IF(in_cursor = 0, 18446744073709551615, in_cursor);

    IF NOT COALESCE(in_slot >= 0
                    AND in_epoch >= 0
                    AND in_user_id > 0
                    AND in_cursor >= 0
                    AND in_limit BETWEEN 1 AND 1000, FALSE) THEN
        SIGNAL SQLSTATE '45400'
           SET MESSAGE_TEXT = 'relation_follower_list needs slot, epoch, user_id, cursor, limit';
    END IF;

    SELECT 1 AS n,
           IF(u.user_id IS NULL, 'notfound', 'ok') AS code,
           f.slot,
           f.epoch,
           f.server,
           GREATEST(i.follower_ver, f.epoch << 33) AS follower_ver,
           l.peer_id,
           l.list_cursor AS `cursor`
      FROM slot_fence AS f
      LEFT JOIN owner_home AS h
        ON h.slot = IF(f.has_home = 1, f.slot, NULL)
       AND h.owner_id = in_user_id
      LEFT JOIN user AS u
        ON u.slot = f.slot
       AND u.user_id = in_user_id
       AND u.state <> 'erased'
      LEFT JOIN inbound AS i
        ON i.slot = u.slot
       AND i.user_id = u.user_id
      LEFT JOIN (SELECT e.slot,
                        e.user_id,
                        e.follower_id AS peer_id,
                        e.pos AS list_cursor
                   FROM follower AS e FORCE INDEX (newest)
                  WHERE e.slot = in_slot
                    AND e.user_id = in_user_id
                    AND e.state = 1
                    AND e.pos < v_below
                  ORDER BY e.pos DESC
                  LIMIT in_limit) AS l
        ON l.slot = u.slot
       AND l.user_id = u.user_id
     WHERE f.slot = in_slot
       AND f.answer = 'ok'
       AND f.epoch >= in_epoch
       AND h.owner_id IS NULL
     ORDER BY l.list_cursor DESC;

    IF FOUND_ROWS() = 0 THEN
        CALL _op_refusals(JSON_ARRAY(JSON_OBJECT('slot', in_slot, 'epoch', in_epoch,
                                                 'owner', in_user_id)));
    END IF;
END$$

DELIMITER ;
