-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _slot_log_add_ops: journal one row per operation that is ok and whose slot is moving.
--
-- in_tbl  table that was written, with its key after slot as op has it:
--           user, inbound             user_id
--           video                     owner
--           outbox                    owner, target, seq; kind as ks
--           comment                   owner, seq
--           commented                 owner, target, seq
--           message                   owner, target, at
--           every other               owner, target
--
-- The set-based version of _slot_log_add.
--
-- Touches : SELECT op; INSERT slot_log
-- Errors  : none
-- Replays : a key that is journaled twice is copied twice

DROP PROCEDURE IF EXISTS _slot_log_add_ops;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _slot_log_add_ops (
    IN in_tbl VARCHAR(16)
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: journal the rows that a batch changed'
BEGIN
    INSERT INTO slot_log (slot, tbl, owner, k1, k2, k3, k4, ks)
    SELECT DISTINCT
           o.slot,
           in_tbl,
           o.user_id,
           IF(in_tbl IN ('user', 'inbound'), o.user_id, o.owner),
           CASE WHEN in_tbl IN ('user', 'inbound', 'video')
                THEN NULL
                WHEN in_tbl = 'comment'
                THEN o.seq
                ELSE o.target
           END,
           CASE in_tbl
                WHEN 'outbox'
                THEN o.seq
                WHEN 'commented'
                THEN o.seq
                WHEN 'message'
                THEN o.at
           END,
           NULL,
           IF(in_tbl = 'outbox', o.kind, NULL)
      FROM op AS o
     WHERE o.code = 'ok'
       AND o.moving = 1;
END$$

DELIMITER ;
