-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- move_cancel: the slot stays where it is, for certain; on the shard that was to give it.
--
-- in_move_id  the move
-- in_token    of the mover
--
-- The slot goes on here above the epoch of the move: should the taker be ready, it is ready for
-- nothing. What is left of its journal is for move_sweep.
--
-- Answer  : is_here (0: too late, the flip is done), epoch (of the slot)
-- Touches : SELECT, UPDATE slot_fence (by slot, FOR UPDATE); SELECT, UPDATE slot_move (by move_id);
--           INSERT, UPDATE slot_known; slot_gen
-- Errors  : 45409 another mover has taken over
-- Replays : raises nothing more

DROP PROCEDURE IF EXISTS move_cancel;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE move_cancel (
    IN in_move_id BIGINT UNSIGNED,
    IN in_token   VARCHAR(32)
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: call a move off'
BEGIN
    DECLARE v_slot  INT UNSIGNED;
    DECLARE v_epoch BIGINT UNSIGNED;
    DECLARE v_state VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin;
    DECLARE v_now   BIGINT UNSIGNED;
    DECLARE v_mine  TINYINT;

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
     WHERE m.move_id = in_move_id;

    SELECT MAX(f.state),
           MAX(f.epoch),
           MAX(f.state = 'migrating' AND f.token = UNHEX(in_token)
               OR f.state = 'owned' AND f.journal = 0)
      INTO v_state,
           v_now,
           v_mine
      FROM slot_fence AS f
     WHERE f.slot = v_slot
       FOR UPDATE;

    SELECT MAX(m.epoch)
      INTO v_epoch
      FROM slot_move AS m
     WHERE m.move_id = in_move_id
       AND m.token = UNHEX(in_token)
       AND m.active IS NOT NULL
       FOR UPDATE;

    -- A promotion ends in one transaction, which has noted it there.
    SELECT v_mine AND (m.kind = 'move' OR m.flipped_at IS NULL)
      INTO v_mine
      FROM slot_move AS m
     WHERE m.move_id = in_move_id;

    IF v_epoch IS NULL THEN
        SIGNAL SQLSTATE '45409' SET MESSAGE_TEXT = 'fenced out: another mover has taken the move';
    END IF;

    IF v_mine AND (v_epoch > v_now OR v_state = 'migrating') THEN
        SET v_now = GREATEST(v_now, v_epoch) + 1;

        UPDATE slot_fence AS f
           SET f.state      = 'owned',
               f.epoch      = v_now,
               f.token      = NULL,
               f.changed_at = _now_ms()
         WHERE f.slot = v_slot;

        INSERT INTO slot_known (slot, epoch, server)
        SELECT v_slot,
               v_now,
               ss.name
          FROM shard_self AS ss
            ON DUPLICATE KEY UPDATE
               epoch  = VALUES(epoch),
               server = VALUES(server);

        CALL _slot_changed();
    END IF;

    UPDATE slot_move AS m
       SET m.phase = 'undoing'
     WHERE m.move_id = in_move_id
       AND v_mine;

    COMMIT;

    SELECT v_mine AS is_here,
           v_now AS epoch;
END$$

DELIMITER ;
