-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- move_status: the moves that this shard was asked for: those under way, and the last 50 that are
-- over.
--
-- Answer  : move_id, slot, kind, giver, taker, owner_id, own_slot, phase, wish, epoch, holder,
--           claimed_until, rows_total, rows_copied, bytes_copied, rows_verified, backlog, rate,
--           rows_per_s, throttle, flips, restarts, pause_us (0: none yet), requested_at,
--           requested_by, started_at, flipped_at, finished_at (ms since the Unix epoch; 0: not
--           yet), keep_ms, last_error, now_at (by the clock that all of these are by)
-- Touches : SELECT slot_move
-- Errors  : none
-- Replays : reads only

DROP PROCEDURE IF EXISTS move_status;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE move_status ()
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v1: how far moves are'
BEGIN
    SELECT m.move_id,
           m.slot,
           m.kind,
           m.giver,
           m.taker,
           m.owner_id,
           m.own_slot,
           m.phase,
           m.wish,
           m.epoch,
           m.holder,
           m.claimed_until,
           m.rows_total,
           m.rows_copied,
           m.bytes_copied,
           m.rows_verified,
           m.backlog,
           m.rate,
           m.rows_per_s,
           m.throttle,
           m.flips,
           m.restarts,
           COALESCE(m.pause_us, 0) AS pause_us,
           m.requested_at,
           m.requested_by,
           COALESCE(m.started_at, 0) AS started_at,
           COALESCE(m.flipped_at, 0) AS flipped_at,
           COALESCE(m.finished_at, 0) AS finished_at,
           m.keep_ms,
           m.last_error,
           _now_ms() AS now_at
      FROM slot_move AS m
      LEFT JOIN (SELECT o.move_id
                   FROM slot_move AS o
                  WHERE o.active IS NULL
                  ORDER BY o.move_id DESC
                  LIMIT 50) AS late
        ON late.move_id = m.move_id
     WHERE m.active IS NOT NULL
        OR late.move_id IS NOT NULL
     ORDER BY m.move_id;
END$$

DELIMITER ;
