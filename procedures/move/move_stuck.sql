-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- move_stuck: flips that are open here although their mover has been silent for its lease.
--
-- A mover that sleeps in the middle of a flip keeps the lock of the fence, and all writes of the
-- slot and whoever wants to claim the move wait for it. Who finds one ends its session: its token
-- is the tag that conn_kill wants.
--
-- Answer  : token (32 hex digits)
-- Touches : SELECT slot_move; the locks that move_lock takes
-- Errors  : none
-- Replays : reads only

DROP PROCEDURE IF EXISTS move_stuck;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE move_stuck ()
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v1: flips whose mover sleeps'
BEGIN
    DECLARE v_now BIGINT DEFAULT _now_ms();

    SELECT LOWER(HEX(m.token)) AS token
      FROM slot_move AS m FORCE INDEX (active)
     WHERE m.active IS NOT NULL
       AND m.claimed_until < v_now
       AND m.token IS NOT NULL
       AND IS_USED_LOCK(CONCAT('doushard:', LOWER(HEX(m.token)))) IS NOT NULL;
END$$

DELIMITER ;
