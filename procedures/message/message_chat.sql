-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- message_chat: messages of one chat in a user's mailbox, in the order of time.
--
-- in_slot           slot of the user
-- in_epoch          epoch of the slot, as the router believes
-- in_user_id        user
-- in_peer_id        the other party
-- in_from           where to begin, ms since the Unix epoch
-- in_back           0: messages later than in_from, the oldest of them, so that who polls
--                   on misses nothing; 1: earlier ones, the newest of them, and of all when
--                   in_from is 0
-- in_limit          at most so many, 1 to 1000
-- in_received_only  1: only what the user received; 0: both directions
--
-- An empty answer is one row whose message columns are NULL.
--
-- Reads no more messages than it answers, however many the user sent since; in both
-- directions those that were taken back in between, too.
--
-- Answer  : n, code, slot, epoch, server, has_chat (1: there is a chat with the peer),
--           message_id, sent (1: by the user; 0: received), text, at (ms since the Unix
--           epoch, unique in the chat)
-- Codes   : ok notfound (no live user) moved notready
-- Touches : SELECT slot_fence, slot_known (by slot), owner_home, user (by slot and user_id),
--           chat, message (by slot, user_id, peer_id, at; only received ones by slot, user_id,
--           peer_id, sent, state, at), in one snapshot
-- Errors  : 45400 an argument is NULL or out of range
-- Replays : reads only

DROP PROCEDURE IF EXISTS message_chat;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE message_chat (
    IN in_slot          INT UNSIGNED,
    IN in_epoch         BIGINT UNSIGNED,
    IN in_user_id       BIGINT UNSIGNED,
    IN in_peer_id       BIGINT UNSIGNED,
    IN in_from          BIGINT,
    IN in_back          TINYINT,
    IN in_limit         INT,
    IN in_received_only TINYINT
)
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v2: messages of one chat'
BEGIN
    DECLARE v_before BIGINT DEFAULT IF(in_from = 0, 9223372036854775807, in_from);

    IF NOT COALESCE(in_slot >= 0
                    AND in_epoch >= 0
                    AND in_user_id > 0
                    AND in_peer_id > 0
                    AND in_from >= 0
                    AND in_back IN (0, 1)
                    AND in_limit BETWEEN 1 AND 1000
                    AND in_received_only IN (0, 1), FALSE) THEN
        SIGNAL SQLSTATE '45400'
           SET MESSAGE_TEXT = 'message_chat needs slot, epoch, ids, from, back, limit, received';
    END IF;

    SELECT 1 AS n,
           CASE WHEN f.slot IS NULL OR f.epoch < in_epoch OR h.own_slot IS NOT NULL
                THEN 'moved'
                WHEN f.answer <> 'ok'
                THEN f.answer
                WHEN u.user_id IS NULL
                THEN 'notfound'
                ELSE 'ok'
           END AS code,
           COALESCE(h.own_slot, j.slot) AS slot,
           CASE WHEN h.own_slot IS NOT NULL
                THEN COALESCE(k.epoch, 0)
                ELSE GREATEST(COALESCE(f.epoch, 0), COALESCE(k.epoch, 0))
           END AS epoch,
           CASE WHEN h.own_slot IS NOT NULL OR COALESCE(k.epoch > f.epoch, f.slot IS NULL)
                THEN COALESCE(k.server, '')
                ELSE f.server
           END AS server,
           IF(u.user_id IS NULL, NULL, c.peer_id IS NOT NULL) AS has_chat,
           l.message_id,
           l.sent,
           l.text,
           l.at
      FROM (SELECT in_slot AS slot) AS j
      LEFT JOIN slot_fence AS f
        ON f.slot = j.slot
      LEFT JOIN owner_home AS h
        ON h.slot = IF(f.has_home = 1 AND f.answer = 'ok' AND f.epoch >= in_epoch, j.slot, NULL)
       AND h.owner_id = in_user_id
      LEFT JOIN slot_known AS k
        ON k.slot = COALESCE(h.own_slot, j.slot)
      LEFT JOIN user AS u
        ON u.slot = IF(f.answer = 'ok' AND f.epoch >= in_epoch AND h.own_slot IS NULL, j.slot, NULL)
       AND u.user_id = in_user_id
       AND u.state = 'live'
      LEFT JOIN chat AS c FORCE INDEX (PRIMARY)
        ON c.slot = u.slot
       AND c.user_id = u.user_id
       AND c.peer_id = in_peer_id
      LEFT JOIN ((SELECT m.message_id,
                         m.sent,
                         m.text,
                         m.at
                    FROM message AS m FORCE INDEX (PRIMARY)
                   WHERE m.slot = in_slot
                     AND m.user_id = in_user_id
                     AND m.peer_id = in_peer_id
                     AND m.state = 1
                     AND m.at < v_before
                     AND in_back = 1
                     AND in_received_only = 0
                   ORDER BY m.at DESC
                   LIMIT in_limit)
                  UNION ALL
                 (SELECT m.message_id,
                         m.sent,
                         m.text,
                         m.at
                    FROM message AS m FORCE INDEX (PRIMARY)
                   WHERE m.slot = in_slot
                     AND m.user_id = in_user_id
                     AND m.peer_id = in_peer_id
                     AND m.state = 1
                     AND m.at > in_from
                     AND in_back = 0
                     AND in_received_only = 0
                   ORDER BY m.at
                   LIMIT in_limit)
                  UNION ALL
                 (SELECT m.message_id,
                         m.sent,
                         m.text,
                         m.at
                    FROM message AS m FORCE INDEX (received)
                   WHERE m.slot = in_slot
                     AND m.user_id = in_user_id
                     AND m.peer_id = in_peer_id
                     AND m.sent = 0
                     AND m.state = 1
                     AND m.at < v_before
                     AND in_back = 1
                     AND in_received_only = 1
                   ORDER BY m.at DESC
                   LIMIT in_limit)
                  UNION ALL
                 (SELECT m.message_id,
                         m.sent,
                         m.text,
                         m.at
                    FROM message AS m FORCE INDEX (received)
                   WHERE m.slot = in_slot
                     AND m.user_id = in_user_id
                     AND m.peer_id = in_peer_id
                     AND m.sent = 0
                     AND m.state = 1
                     AND m.at > in_from
                     AND in_back = 0
                     AND in_received_only = 1
                   ORDER BY m.at
                   LIMIT in_limit)) AS l
        ON u.user_id IS NOT NULL
     ORDER BY l.at;
END$$

DELIMITER ;
