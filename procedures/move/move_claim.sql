-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- move_claim: take a move that nobody works on.
--
-- in_holder    who takes it: host and process
-- in_token     of this claim, 32 random hex digits; never used before, but for a claim whose answer
--              was lost
-- in_lease_ms  so long nobody else takes it; move_beat goes on
-- in_max       moves under way here at a time: those that wait for their end (keeping) do not count
--
-- Moves under way go first: what a mover left behind that was killed. The lock of the fence makes
-- sure that an older mover in the middle of its flip has ended it or been rolled back; a fence that
-- is migrating gets the new token, and refuses that mover from now on.
--
-- Answer  : move_id, slot, kind, giver, taker, owner_id, own_slot, phase, wish, keep_ms,
--           rows_per_s, epoch, rows_total, rows_copied, bytes_copied, rows_verified, flipped_at,
--           term (claims so far), restarts, state (of the fence; no row: nothing is to be done)
-- Touches : SELECT, UPDATE slot_fence (by slot); SELECT, UPDATE slot_move
-- Errors  : 45400 an argument is malformed
-- Replays : with its token the same one, as long as nobody has taken it over; else claims another
--           one

DROP PROCEDURE IF EXISTS move_claim;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE move_claim (
    IN in_holder   VARCHAR(64),
    IN in_token    VARCHAR(33),
    IN in_lease_ms INT,
    IN in_max      INT
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: take a move'
BEGIN
    DECLARE v_now   BIGINT DEFAULT _now_ms();
    DECLARE v_id    BIGINT UNSIGNED;
    DECLARE v_busy  INT;
    DECLARE v_slot  INT UNSIGNED;
    DECLARE v_epoch BIGINT UNSIGNED;
    DECLARE v_state VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin;

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    IF NOT COALESCE(LENGTH(in_token) = 32
                    AND UNHEX(in_token) IS NOT NULL
                    AND in_holder <> ''
                    AND in_lease_ms BETWEEN 1000 AND 3600000
                    AND in_max BETWEEN 1 AND 1000, FALSE) THEN
        SIGNAL SQLSTATE '45400' SET MESSAGE_TEXT = 'move_claim needs holder, token, lease, number';
    END IF;

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    -- Found without locks, and looked at again behind that of the fence: what was claimed with this
    -- token, or who has waited longest, so that one whose taker is down does not keep the others
    -- from their turn.
    SELECT MIN(m.move_id)
      INTO v_id
      FROM slot_move AS m FORCE INDEX (active)
     WHERE m.active IS NOT NULL
       AND m.token = UNHEX(in_token);

    IF v_id IS NULL THEN
        SELECT MIN(t.move_id)
          INTO v_id
          FROM (SELECT m.move_id
                  FROM slot_move AS m FORCE INDEX (active)
                 WHERE m.active IS NOT NULL
                   AND m.claimed_until < v_now
                   AND m.phase <> 'queued'
                 ORDER BY m.claimed_until,
                          m.move_id
                 LIMIT 1) AS t;
    END IF;

    IF v_id IS NULL THEN
        -- What was claimed says only later that it is under way.
        SELECT COUNT(*)
          INTO v_busy
          FROM slot_move AS m FORCE INDEX (active)
         WHERE m.active IS NOT NULL
           AND m.phase NOT IN ('keeping', 'undoing')
           AND (m.phase <> 'queued' OR m.claimed_until >= v_now);
    END IF;

    IF v_id IS NULL AND v_busy < in_max THEN
        SELECT MIN(t.move_id)
          INTO v_id
          FROM (SELECT m.move_id
                  FROM slot_move AS m FORCE INDEX (active)
                 WHERE m.active IS NOT NULL
                   AND m.claimed_until < v_now
                   AND m.phase = 'queued'
                   AND m.wish <> 'pause'
                 ORDER BY m.claimed_until,
                          m.move_id
                 LIMIT 1) AS t;
    END IF;

    SELECT MAX(m.slot)
      INTO v_slot
      FROM slot_move AS m
     WHERE m.move_id = v_id;

    IF v_slot IS NOT NULL THEN
        SELECT MAX(f.state)
          INTO v_state
          FROM slot_fence AS f
         WHERE f.slot = v_slot
           FOR UPDATE;
    END IF;

    SELECT MAX(m.move_id),
           MAX(m.epoch)
      INTO v_id,
           v_epoch
      FROM slot_move AS m
     WHERE m.move_id = v_id
       AND m.active IS NOT NULL
       AND (m.claimed_until < v_now OR m.token = UNHEX(in_token))
       FOR UPDATE;

    IF v_id IS NOT NULL AND v_state = 'migrating' THEN
        UPDATE slot_fence AS f
           SET f.token = UNHEX(in_token)
         WHERE f.slot = v_slot
           AND f.state = 'migrating'
           AND f.epoch < v_epoch;
    END IF;

    UPDATE slot_move AS m
       SET m.token         = UNHEX(in_token),
           m.term          = m.term + 1,
           m.holder        = in_holder,
           m.claimed_until = v_now + in_lease_ms,
           m.started_at    = COALESCE(m.started_at, v_now)
     WHERE m.move_id = v_id;

    COMMIT;

    SELECT m.move_id,
           m.slot,
           m.kind,
           m.giver,
           m.taker,
           m.owner_id,
           m.own_slot,
           m.phase,
           m.wish,
           m.keep_ms,
           m.rows_per_s,
           m.epoch,
           m.rows_total,
           m.rows_copied,
           m.bytes_copied,
           m.rows_verified,
           COALESCE(m.flipped_at, 0) AS flipped_at,
           m.term,
           m.restarts,
           COALESCE(v_state, 'none') AS state
      FROM slot_move AS m
     WHERE m.move_id = v_id;
END$$

DELIMITER ;
