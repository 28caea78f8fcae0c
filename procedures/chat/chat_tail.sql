-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- chat_tail: the numbers of a direction of a chat, backwards from the last, for chat_repair.
--
-- in_slot     slot of the user
-- in_epoch    epoch of the slot, as the router believes
-- in_user_id  owner of the mailbox, erased or not
-- in_peer_id  the other party
-- in_sent     1: what the owner sent; 0: what he received
-- in_before   those with smaller numbers
-- in_limit    at most so many, 1 to 100
--
-- last: the last number of the direction, 0: none yet. Messages taken back are included.
--
-- Answer  : n, code, slot, epoch, server, last, seq, message_id, state, text, op (32 hex digits;
--           a row without a message says that there is none)
-- Codes   : ok notfound (no such user) moved notready
-- Touches : SELECT shard_self, slot_fence, owner_home, slot_known, user, chat (by key), message (by
--           slot, user_id, peer_id, sent, seq), in one snapshot
-- Errors  : 45400 an argument is NULL or out of range
-- Replays : reads only

DROP PROCEDURE IF EXISTS chat_tail;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE chat_tail (
    IN in_slot    INT UNSIGNED,
    IN in_epoch   BIGINT UNSIGNED,
    IN in_user_id BIGINT UNSIGNED,
    IN in_peer_id BIGINT UNSIGNED,
    IN in_sent    TINYINT,
    IN in_before  BIGINT UNSIGNED,
    IN in_limit   INT
)
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v1: the numbers of a direction of a chat'
BEGIN
    DECLARE v_open TINYINT DEFAULT _shard_open();

    IF NOT COALESCE(in_slot >= 0
                    AND in_epoch >= 0
                    AND in_user_id BETWEEN 1 AND 9007199254740991
                    AND in_peer_id BETWEEN 1 AND 9007199254740991
                    AND in_sent IN (0, 1)
                    AND in_before >= 0
                    AND in_limit BETWEEN 1 AND 100, FALSE) THEN
        SIGNAL SQLSTATE '45400'
           SET MESSAGE_TEXT = 'chat_tail needs slot, epoch, ids, sent, before, limit 1 to 100';
    END IF;

    SELECT 1 AS n,
           CASE WHEN f.slot IS NULL OR f.epoch < in_epoch OR h.own_slot IS NOT NULL
                THEN 'moved'
                WHEN f.answer <> 'ok' AND NOT (v_open AND f.answer = 'notready'
                                               AND f.state IN ('owned', 'migrating'))
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
           IF(u.user_id IS NULL, NULL,
              COALESCE(IF(in_sent = 1, c.sent_seq, c.recv_seq), 0)) AS last,
           m.seq,
           m.message_id,
           m.state,
           m.text,
           LOWER(HEX(m.op)) AS op
      FROM (SELECT in_slot AS slot) AS j
      LEFT JOIN slot_fence AS f
        ON f.slot = j.slot
      LEFT JOIN owner_home AS h
        ON h.slot = IF(f.has_home = 1 AND f.epoch >= in_epoch
                       AND (f.answer = 'ok' OR (v_open AND f.answer = 'notready'
                                                AND f.state IN ('owned', 'migrating'))),
                       j.slot, NULL)
       AND h.owner_id = in_user_id
      LEFT JOIN slot_known AS k
        ON k.slot = COALESCE(h.own_slot, j.slot)
      LEFT JOIN user AS u
        ON u.slot = IF(f.epoch >= in_epoch AND h.own_slot IS NULL
                       AND (f.answer = 'ok' OR (v_open AND f.answer = 'notready'
                                                AND f.state IN ('owned', 'migrating'))),
                       j.slot, NULL)
       AND u.user_id = in_user_id
      LEFT JOIN chat AS c FORCE INDEX (PRIMARY)
        ON c.slot = u.slot
       AND c.user_id = u.user_id
       AND c.peer_id = in_peer_id
      LEFT JOIN (SELECT t.seq,
                        t.message_id,
                        t.state,
                        t.text,
                        t.op
                   FROM message AS t FORCE INDEX (seq)
                  WHERE t.slot = in_slot
                    AND t.user_id = in_user_id
                    AND t.peer_id = in_peer_id
                    AND t.sent = in_sent
                    AND t.seq < in_before
                  ORDER BY t.seq DESC
                  LIMIT in_limit) AS m
        ON u.user_id IS NOT NULL
     ORDER BY m.seq DESC;
END$$

DELIMITER ;
