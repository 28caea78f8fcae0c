-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- move_beat: a mover is still at it: keep its claim, say how far it is, and what is wanted of it.
--
-- in_move_id   the move
-- in_token     of the claim
-- in_lease_ms  so long nobody else takes it; 0: give it back
-- in_report    JSON object with what is new: phase, epoch, rows_total, rows_copied, bytes_copied,
--              rows_verified, rate, throttle, flips, restarts (how many more), pause_us, flipped
--              (1), error, backlog (of the journal at the other shard; absent: it is the one here)
--
-- A move that is being undone (move_cancel) does not go back to an earlier phase: a mover may
-- have had no answer to that, and say what it was in before.
--
-- Answer  : wish, rows_per_s, backlog
-- Touches : SELECT slot_log (by slot); SELECT, UPDATE slot_move (by move_id)
-- Errors  : 45409 another mover has taken over
-- Replays : the same

DROP PROCEDURE IF EXISTS move_beat;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE move_beat (
    IN in_move_id  BIGINT UNSIGNED,
    IN in_token    VARCHAR(32),
    IN in_lease_ms INT,
    IN in_report   LONGTEXT
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: say how far a move is'
BEGIN
    DECLARE v_now     BIGINT DEFAULT _now_ms();
    DECLARE v_slot    INT UNSIGNED;
    DECLARE v_backlog BIGINT;
    DECLARE v_phase   VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin
                      DEFAULT JSON_VALUE(in_report, '$.phase');

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    SELECT MAX(m.slot)
      INTO v_slot
      FROM slot_move AS m
     WHERE m.move_id = in_move_id
       AND m.token = UNHEX(in_token)
       AND m.active IS NOT NULL
       FOR UPDATE;

    IF v_slot IS NULL THEN
        SIGNAL SQLSTATE '45409' SET MESSAGE_TEXT = 'fenced out: another mover has taken the move';
    END IF;

    -- No fewer than there are: numbers of other slots may lie between.
    SELECT COALESCE(MAX(l.id) - MIN(l.id) + 1, 0)
      INTO v_backlog
      FROM slot_log AS l FORCE INDEX (drain)
     WHERE l.slot = v_slot;

    SET v_backlog = COALESCE(JSON_VALUE(in_report, '$.backlog'), v_backlog);

    UPDATE slot_move AS m
       SET m.claimed_until = IF(in_lease_ms = 0, 0, v_now + in_lease_ms),
           m.phase         = IF((m.kind <> 'move' AND m.flipped_at IS NOT NULL
                                 AND v_phase NOT IN ('purging', 'done'))
                                OR (m.phase = 'undoing'
                                    AND v_phase NOT IN ('queued', 'undone', 'failed')),
                                m.phase, COALESCE(v_phase, m.phase)),
           m.epoch         = COALESCE(JSON_VALUE(in_report, '$.epoch'), m.epoch),
           m.rows_total    = COALESCE(JSON_VALUE(in_report, '$.rows_total'), m.rows_total),
           m.rows_copied   = COALESCE(JSON_VALUE(in_report, '$.rows_copied'), m.rows_copied),
           m.bytes_copied  = COALESCE(JSON_VALUE(in_report, '$.bytes_copied'), m.bytes_copied),
           m.rows_verified = COALESCE(JSON_VALUE(in_report, '$.rows_verified'), m.rows_verified),
           m.rate          = COALESCE(JSON_VALUE(in_report, '$.rate'), m.rate),
           m.throttle      = COALESCE(JSON_VALUE(in_report, '$.throttle'), m.throttle),
           m.flips         = m.flips + COALESCE(JSON_VALUE(in_report, '$.flips'), 0),
           m.restarts      = m.restarts + COALESCE(JSON_VALUE(in_report, '$.restarts'), 0),
           m.pause_us      = COALESCE(JSON_VALUE(in_report, '$.pause_us'), m.pause_us),
           m.flipped_at    = IF(JSON_VALUE(in_report, '$.flipped') = 1,
                                COALESCE(m.flipped_at, v_now), m.flipped_at),
           m.last_error    = COALESCE(LEFT(JSON_VALUE(in_report, '$.error'), 255), m.last_error),
           m.backlog       = v_backlog,
           m.finished_at   = IF(m.phase IN ('done', 'undone', 'failed'), v_now, m.finished_at),
           m.at_tbl        = IF(v_phase = 'queued', '', m.at_tbl),
           m.at_key        = IF(v_phase = 'queued', '', m.at_key)
     WHERE m.move_id = in_move_id;

    COMMIT;

    SELECT m.wish,
           m.rows_per_s,
           v_backlog AS backlog
      FROM slot_move AS m
     WHERE m.move_id = in_move_id;
END$$

DELIMITER ;
