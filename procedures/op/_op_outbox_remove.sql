-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _op_outbox_remove: remove the outbox rows of a batch, and let the next message of each chat go.
--
-- Of the operations that are ok; the caller holds the locks of their rows (_op_outbox_lock).
-- The message after a removed one is head of its chat from now on, with its own time: adding a
-- message locks the one before it, so either this routine sees the new message, or that one sees
-- that the row is gone.
--
-- Touches : SELECT op; DELETE, UPDATE outbox (by key); journal
-- Errors  : none
-- Replays : changes nothing

DROP PROCEDURE IF EXISTS _op_outbox_remove;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _op_outbox_remove ()
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: remove the outbox rows of a batch'
BEGIN
    DECLARE v_chats  TINYINT;
    DECLARE v_moving TINYINT;

    DELETE x
      FROM op AS o
     STRAIGHT_JOIN outbox AS x FORCE INDEX (PRIMARY)
        ON x.slot = o.slot
       AND x.actor_id = o.owner
       AND x.kind = o.kind
       AND x.target_id = o.target
       AND x.seq = o.seq
     WHERE o.code = 'ok';

    SELECT MAX(o.kind = 'message'),
           MAX(o.moving)
      INTO v_chats,
           v_moving
      FROM op AS o
     WHERE o.code = 'ok';

    IF v_chats THEN
        UPDATE op AS o
         STRAIGHT_JOIN outbox AS x FORCE INDEX (PRIMARY)
            ON x.slot = o.slot
           AND x.actor_id = o.owner
           AND x.kind = o.kind
           AND x.target_id = o.target
           AND x.seq = o.seq + 1
           SET x.head = 1
         WHERE o.code = 'ok'
           AND o.kind = 'message'
           AND x.head = 0;
    END IF;

    IF v_moving THEN
        CALL _slot_log_add_ops('outbox');

        INSERT INTO slot_log (slot, tbl, owner, k1, k2, k3, ks)
        SELECT o.slot,
               'outbox',
               o.user_id,
               o.owner,
               o.target,
               o.seq + 1,
               o.kind
          FROM op AS o
         WHERE o.code = 'ok'
           AND o.moving = 1
           AND o.kind = 'message';
    END IF;
END$$

DELIMITER ;
