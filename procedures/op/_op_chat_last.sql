-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _op_chat_last: let chats show the message before those that were taken back.
--
-- Of the operations of kind message with code ok and was 1: owner and target name the chat.
-- The caller holds the row of its owner.
--
-- Touches : SELECT op, message (by slot, user_id, peer_id, at, backwards); UPDATE chat (by
--           key); journal
-- Errors  : none
-- Replays : changes nothing

DROP PROCEDURE IF EXISTS _op_chat_last;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _op_chat_last ()
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: let chats show their newest live message'
BEGIN
    UPDATE op AS o
     STRAIGHT_JOIN chat AS c FORCE INDEX (PRIMARY)
        ON c.slot = o.slot
       AND c.user_id = o.owner
       AND c.peer_id = o.target
       SET c.last_text = COALESCE((SELECT m.text
                                     FROM message AS m
                                    WHERE m.slot = o.slot
                                      AND m.user_id = o.owner
                                      AND m.peer_id = o.target
                                      AND m.state = 1
                                    ORDER BY m.at DESC
                                    LIMIT 1), ''),
           c.last_sent = COALESCE((SELECT m.sent
                                     FROM message AS m
                                    WHERE m.slot = o.slot
                                      AND m.user_id = o.owner
                                      AND m.peer_id = o.target
                                      AND m.state = 1
                                    ORDER BY m.at DESC
                                    LIMIT 1), 0)
     WHERE o.code = 'ok'
       AND o.was = 1
       AND o.kind = 'message';

    INSERT INTO slot_log (slot, tbl, owner, k1, k2)
    SELECT o.slot,
           'chat',
           o.user_id,
           o.owner,
           o.target
      FROM op AS o
     WHERE o.code = 'ok'
       AND o.was = 1
       AND o.kind = 'message'
       AND o.moving = 1;
END$$

DELIMITER ;
