-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _op_fence: take the share locks that make a batch of writes safe against a move.
--
-- in_ops  the batch that _op_open has checked
--
-- Fills op with one row per operation: code ok where this shard owns the slot, at no older
-- epoch than the caller believes, and the owner has not left it; else moved or notready.
-- The locks are held until the transaction ends: who wants to change a fence waits for all
-- writes that passed it, and nothing passes after. First in every writing transaction; the
-- array is in the order of slots and drives the join, so that locks are taken in order.
--
-- Touches : SELECT slot_fence (by slot, share lock), owner_home (by slot and owner, where
--           the fence says that there are any), slot_known (by slot, where the answer is
--           moved); INSERT op
-- Errors  : none
-- Replays : nothing stays

DROP PROCEDURE IF EXISTS _op_fence;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _op_fence (
    IN in_ops JSON
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: lock the fences of a batch, say which may go on'
BEGIN
    INSERT INTO op (n, code, slot, epoch, server, owner, user_id, moving)
    SELECT j.n,
           CASE WHEN f.slot IS NULL OR f.epoch < j.epoch OR h.own_slot IS NOT NULL
                THEN 'moved'
                ELSE f.answer
           END,
           COALESCE(h.own_slot, j.slot),
           CASE WHEN h.own_slot IS NOT NULL
                THEN COALESCE(k.epoch, 0)
                ELSE GREATEST(COALESCE(f.epoch, 0), COALESCE(k.epoch, 0))
           END,
           CASE WHEN h.own_slot IS NOT NULL OR COALESCE(k.epoch > f.epoch, f.slot IS NULL)
                THEN COALESCE(k.server, '')
                ELSE f.server
           END,
           j.owner,
           j.owner,
           COALESCE(f.state = 'migrating' OR f.journal = 1, 0)
      FROM JSON_TABLE(in_ops, '$[*]' COLUMNS (
               n     FOR ORDINALITY,
               slot  INT UNSIGNED PATH '$.slot',
               epoch BIGINT UNSIGNED PATH '$.epoch',
               owner BIGINT UNSIGNED PATH '$.owner'
           )) AS j
      LEFT JOIN slot_fence AS f FORCE INDEX (PRIMARY)
        ON f.slot = j.slot
      LEFT JOIN owner_home AS h FORCE INDEX (PRIMARY)
        ON h.slot = IF(f.has_home = 1 AND f.answer = 'ok' AND f.epoch >= j.epoch, f.slot, NULL)
       AND h.owner_id = j.owner
      LEFT JOIN slot_known AS k FORCE INDEX (PRIMARY)
        ON k.slot = CASE WHEN h.own_slot IS NOT NULL
                         THEN h.own_slot
                         WHEN f.answer = 'ok' AND f.epoch >= j.epoch
                         THEN NULL
                         ELSE j.slot
                    END
      LOCK IN SHARE MODE;
END$$

DELIMITER ;
