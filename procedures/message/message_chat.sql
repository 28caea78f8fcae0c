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
-- in_back           0: the oldest messages later than in_from, so that polling misses nothing;
--                   1: the newest ones earlier than in_from, or of all when in_from is 0
-- in_limit          at most so many, 1 to 1000
-- in_received_only  1: only what the user received; 0: both directions
--
-- An empty answer is one row whose message columns are NULL.
--
-- Reads no more messages than it answers, however many the user has sent since, apart from messages
-- taken back when it reads both directions.
--
-- Answer  : n, code, slot, epoch, server, mail_ver, in_mail_ver, has_chat (1: there is a chat
--           with the peer),
--           message_id, sent (1: by the user; 0: received), text, at (ms since the Unix
--           epoch, unique in the chat)
-- Answer 2: as _op_refusals (when this shard does not serve the owner)
-- Codes   : ok notfound (no live user) moved notready
-- Touches : SELECT slot_fence (by slot), owner_home, user, inbound (by slot and user_id),
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
           IF(u.user_id IS NULL, 'notfound', 'ok') AS code,
           f.slot,
           f.epoch,
           f.server,
           GREATEST(u.mail_ver, f.epoch << 33) AS mail_ver,
           GREATEST(i.mail_ver, f.epoch << 33) AS in_mail_ver,
           IF(u.user_id IS NULL, NULL, c.peer_id IS NOT NULL) AS has_chat,
           l.message_id,
           l.sent,
           l.text,
           l.at
      FROM slot_fence AS f
      LEFT JOIN owner_home AS h
        ON h.slot = IF(f.has_home = 1, f.slot, NULL)
       AND h.owner_id = in_user_id
      LEFT JOIN user AS u
        ON u.slot = f.slot
       AND u.user_id = in_user_id
       AND u.state = 'live'
      LEFT JOIN inbound AS i
        ON i.slot = u.slot
       AND i.user_id = u.user_id
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
     WHERE f.slot = in_slot
       AND f.answer = 'ok'
       AND f.epoch >= in_epoch
       AND h.owner_id IS NULL
     ORDER BY l.at;

    IF FOUND_ROWS() = 0 THEN
        CALL _op_refusals(JSON_ARRAY(JSON_OBJECT('slot', in_slot, 'epoch', in_epoch,
                                                 'owner', in_user_id)));
    END IF;
END$$

DELIMITER ;
