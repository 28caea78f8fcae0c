-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _promote_held: why the policy promotes nobody on this shard now.
--
-- in_per_hour   promotions in an hour at most
-- in_slots_max  own slots at most
--
-- Answer  : a reason; empty: there is none
-- Touches : SELECT slot_move (by kind and time, and those under way), slot_fence (own slots)
-- Errors  : none
-- Replays : reads only

DROP FUNCTION IF EXISTS _promote_held;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost FUNCTION _promote_held (
    in_per_hour  INT,
    in_slots_max INT
)
    RETURNS VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
    NOT DETERMINISTIC
    READS SQL DATA
    SQL SECURITY DEFINER
    COMMENT 'v1: why nobody is promoted'
BEGIN
    DECLARE v_now    BIGINT DEFAULT _now_ms();
    DECLARE v_recent INT;
    DECLARE v_under  INT;
    DECLARE v_own    INT;

    SELECT COUNT(*)
      INTO v_recent
      FROM slot_move AS m FORCE INDEX (by_kind)
     WHERE m.kind = 'promote'
       AND m.requested_at > v_now - 3600000;

    SELECT COUNT(*)
      INTO v_under
      FROM slot_move AS m FORCE INDEX (active)
     WHERE m.active >= 0
       AND m.kind = 'promote';

    SELECT COUNT(*)
      INTO v_own
      FROM slot_fence AS f
     WHERE f.slot >= 1024
       AND f.state IN ('owned', 'migrating', 'importing', 'ready');

    RETURN CASE WHEN v_under > 0
                THEN 'a promotion is under way'
                WHEN v_recent >= in_per_hour
                THEN 'there were as many promotions in this hour as may be'
                WHEN v_own >= in_slots_max
                THEN 'this shard has as many own slots as may be'
                ELSE ''
           END;
END$$

DELIMITER ;
