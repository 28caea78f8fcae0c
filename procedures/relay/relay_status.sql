-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- relay_status: which process finishes this shard's interrupted writes, for operators.
--
-- Answer  : name, holder (process that has the lease, or had it last), left_ms (how long it
--           still holds; 0: nobody has it), late_ms (how long the row of the outbox that has
--           been due longest has been so; 0: none is due)
-- Touches : SELECT relay_lease (by name), outbox (by parked and due_at)
-- Errors  : none
-- Replays : reads only

DROP PROCEDURE IF EXISTS relay_status;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE relay_status ()
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v1: who finishes what was begun'
BEGIN
    DECLARE v_now BIGINT DEFAULT _now_ms();

    SELECT rl.name,
           rl.holder,
           GREATEST(rl.until_at - v_now, 0) AS left_ms,
           GREATEST(COALESCE(v_now - (SELECT MIN(x.due_at)
                                        FROM outbox AS x FORCE INDEX (due)
                                       WHERE x.parked = 0), 0), 0) AS late_ms
      FROM relay_lease AS rl
     WHERE rl.name = 'relay';
END$$

DELIMITER ;
