-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _slot_log_add_undo: journal what outbox_undo changed in slots that are moving.
--
-- The operations have different kinds, and so different tables: op.kind says which. op.was: the
-- first half was undone. Outbox rows: _op_outbox_remove; chats: _op_chat_last.
--
-- Touches : SELECT op; INSERT slot_log
-- Errors  : none
-- Replays : a key that is journaled twice is copied twice

DROP PROCEDURE IF EXISTS _slot_log_add_undo;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _slot_log_add_undo ()
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v3: journal the rows that an undo changed'
BEGIN
    -- The table of a kind has its name.
    INSERT INTO slot_log (slot, tbl, owner, k1, k2, k3)
    SELECT o.slot,
           o.kind,
           o.user_id,
           o.owner,
           IF(o.kind = 'comment', o.seq, o.target),
           IF(o.kind = 'message', o.at, NULL)
      FROM op AS o
     WHERE o.code = 'ok'
       AND o.moving = 1
       AND o.was = 1;

    INSERT INTO slot_log (slot, tbl, owner, k1)
    SELECT DISTINCT
           o.slot,
           IF(o.kind = 'comment', 'video', 'user'),
           o.user_id,
           o.owner
      FROM op AS o
     WHERE o.code = 'ok'
       AND o.moving = 1
       AND o.was = 1;
END$$

DELIMITER ;
