-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _slot_epoch_next: the lowest epoch that nothing on this shard has used for a slot.
--
-- in_slot  the slot; the caller has locked its fence, if there is one
--
-- To claim a slot, or to begin importing it, take an epoch not below this, on all shards involved;
-- importing under a lower one is refused. So no two attempts share an epoch, and leftovers of an
-- abandoned attempt (a ready fence, a late flip) are never taken for the next one. See slot_fence.
--
-- Touches : SELECT slot_fence, slot_known, slot_move (by slot)
-- Errors  : none
-- Replays : reads only

DROP FUNCTION IF EXISTS _slot_epoch_next;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost FUNCTION _slot_epoch_next (
    in_slot INT UNSIGNED
)
    RETURNS BIGINT UNSIGNED
    NOT DETERMINISTIC
    READS SQL DATA
    SQL SECURITY DEFINER
    COMMENT 'v1: an epoch that was never used'
BEGIN
    DECLARE v_last BIGINT UNSIGNED;

    SELECT MAX(t.epoch)
      INTO v_last
      FROM (SELECT GREATEST(f.epoch, f.heard_epoch) AS epoch
              FROM slot_fence AS f
             WHERE f.slot = in_slot
             UNION ALL
            SELECT k.epoch
              FROM slot_known AS k
             WHERE k.slot = in_slot
             UNION ALL
            SELECT m.epoch
              FROM slot_move AS m
             WHERE m.slot = in_slot) AS t;

    RETURN COALESCE(v_last, 0) + 1;
END$$

DELIMITER ;
