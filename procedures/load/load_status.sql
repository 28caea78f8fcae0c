-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- load_status: load and size of the slots that this shard owns, for operators.
--
-- Answer  : slot, epoch, state, operations_per_min, busy_us_per_min (recently: half of the
--           weight is on the last ten minutes), size_rows, size_bytes (NULL: not measured yet),
--           measured_at (ms since the Unix epoch; 0: never)
-- Touches : SELECT slot_fence, slot_load (all rows)
-- Errors  : none
-- Replays : reads only

DROP PROCEDURE IF EXISTS load_status;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE load_status ()
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v1: what slots cost, and their size'
BEGIN
    DECLARE v_now BIGINT DEFAULT _now_ms();

    SELECT f.slot,
           f.epoch,
           f.state,
           COALESCE(_load_per_min(w.operations, w.at, w.since, v_now), 0)
               AS operations_per_min,
           COALESCE(_load_per_min(w.busy_us, w.at, w.since, v_now), 0) AS busy_us_per_min,
           w.size_rows,
           w.size_bytes,
           COALESCE(w.measured_at, 0) AS measured_at
      FROM slot_fence AS f
      LEFT JOIN slot_load AS w FORCE INDEX (PRIMARY)
        ON w.slot = f.slot
     WHERE f.state IN ('owned', 'migrating')
     ORDER BY f.slot;
END$$

DELIMITER ;
