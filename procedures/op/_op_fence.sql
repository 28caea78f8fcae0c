-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _op_fence: take the share locks that make a batch of writes safe against a move.
--
-- out_moving  1: a slot of the batch is moving, and its writes must be journaled
--
-- If this shard does not own a slot at exactly the caller's epoch, or an owner may have left the
-- slot, _op_judge looks closer. The locks are held until the transaction ends: a change of a fence
-- waits for all writes that have passed it, and later writes wait for the change. First in every
-- writing transaction, in the order of slots, which is that of op.
--
-- Touches : SELECT slot_fence (by slot, share lock); SELECT op; see _op_judge
-- Errors  : none
-- Replays : nothing stays

DROP PROCEDURE IF EXISTS _op_fence;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _op_fence (
    OUT out_moving TINYINT
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v2: lock the fences of a batch'
BEGIN
    DECLARE v_plain TINYINT;

    SELECT MIN(COALESCE(f.answer = 'ok'
                        AND f.epoch = o.epoch
                        AND f.has_home = 0
                        AND f.state <> 'migrating'
                        AND f.journal = 0, 0))
      INTO v_plain
      FROM op AS o
      LEFT JOIN slot_fence AS f FORCE INDEX (PRIMARY)
        ON f.slot = o.slot
      LOCK IN SHARE MODE;

    SET out_moving = 0;
    IF v_plain = 0 THEN
        CALL _op_judge();

        CALL _slot_log_bound();

        SELECT MAX(o.moving)
          INTO out_moving
          FROM op AS o
         WHERE o.code = 'ok';
    END IF;
END$$

DELIMITER ;
