-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- relation_friend_list: the friends of a user (who follow each other) and their last message.
--
-- in_slot     slot of the user
-- in_epoch    epoch of the slot, as the router believes
-- in_user_id  user
-- in_cursor   only what comes after the row with this cursor; 0: from the newest
-- in_limit    at most so many, 1 to 1000
--
-- In the order in which the user followed them, newest first. Without friends there is one row
-- whose own columns are NULL. One CALL reads 2000 follows at most, so that a user with many follows
-- and few friends costs no more than others: fewer rows than in_limit are the end only if
-- scanned_cursor is 0; otherwise scanned_cursor is the in_cursor with which to go on.
--
-- Answer  : n, code, slot, epoch, server, edge_ver, follower_ver, mail_ver, in_mail_ver, peer_id,
--           cursor, has_message (1: there is one),
--           last_text, last_sent (1: the user sent it; 0: received it), last_at,
--           scanned_cursor (of the last follow looked at; 0: there are none after it)
-- Answer 2: as _op_refusals (when this shard does not serve the owner)
-- Codes   : ok notfound moved notready
-- Touches : SELECT slot_fence (by slot), owner_home, user, inbound (by slot and user_id),
--           follow (by slot, user_id, state, ver, backwards), follower, chat (by key), in one
--           snapshot
-- Errors  : 45400 an argument is NULL or out of range
-- Replays : reads only

DROP PROCEDURE IF EXISTS relation_friend_list;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE relation_friend_list (
    IN in_slot    INT UNSIGNED,
    IN in_epoch   BIGINT UNSIGNED,
    IN in_user_id BIGINT UNSIGNED,
    IN in_cursor  BIGINT UNSIGNED,
    IN in_limit   INT
)
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v2: the friends of a user'
BEGIN
    DECLARE v_below BIGINT UNSIGNED DEFAULT IF(in_cursor = 0, 18446744073709551615, in_cursor);

    IF NOT COALESCE(in_slot >= 0
                    AND in_epoch >= 0
                    AND in_user_id > 0
                    AND in_cursor >= 0
                    AND in_limit BETWEEN 1 AND 1000, FALSE) THEN
        SIGNAL SQLSTATE '45400'
           SET MESSAGE_TEXT = 'relation_friend_list needs slot, epoch, user_id, cursor, limit';
    END IF;

    SELECT 1 AS n,
           IF(u.user_id IS NULL, 'notfound', 'ok') AS code,
           f.slot,
           f.epoch,
           f.server,
           GREATEST(u.edge_ver, f.epoch << 33) AS edge_ver,
           GREATEST(i.follower_ver, f.epoch << 33) AS follower_ver,
           GREATEST(u.mail_ver, f.epoch << 33) AS mail_ver,
           GREATEST(i.mail_ver, f.epoch << 33) AS in_mail_ver,
           l.peer_id,
           l.list_cursor AS `cursor`,
           IF(l.peer_id IS NULL, NULL, c.peer_id IS NOT NULL) AS has_message,
           c.last_text,
           c.last_sent,
           c.last_at,
           COALESCE((SELECT e.ver
                       FROM follow AS e FORCE INDEX (newest)
                      WHERE e.slot = in_slot
                        AND e.user_id = in_user_id
                        AND e.state = 1
                        AND e.ver < v_below
                      ORDER BY e.ver DESC
                      LIMIT 1 OFFSET 1999), 0) AS scanned_cursor
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
      LEFT JOIN (SELECT w.slot,
                        w.user_id,
                        w.followed_id AS peer_id,
                        w.ver AS list_cursor
                   FROM (SELECT e.slot,
                                e.user_id,
                                e.followed_id,
                                e.ver
                           FROM follow AS e FORCE INDEX (newest)
                          WHERE e.slot = in_slot
                            AND e.user_id = in_user_id
                            AND e.state = 1
                            AND e.ver < v_below
                          ORDER BY e.ver DESC
                          LIMIT 2000) AS w
                  STRAIGHT_JOIN follower AS b FORCE INDEX (PRIMARY)
                     ON b.slot = w.slot
                    AND b.user_id = w.user_id
                    AND b.follower_id = w.followed_id
                    AND b.state = 1
                  ORDER BY w.ver DESC
                  LIMIT in_limit) AS l
        ON l.slot = u.slot
       AND l.user_id = u.user_id
      LEFT JOIN chat AS c FORCE INDEX (PRIMARY)
        ON c.slot = l.slot
       AND c.user_id = l.user_id
       AND c.peer_id = l.peer_id
       AND LENGTH(c.last_text) > 0
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
