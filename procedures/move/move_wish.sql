-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- move_wish: say what is to become of the move of a slot; on the shard that gives it.
--
-- in_slot  the slot
-- in_wish  pause     stop at the next step; the journal goes on being written. What can be rolled
--                    back stays so, however long that lasts
--          go        go on
--          cancel    give it up: the slot stays where it is; before the flip, or on the way back
--          finish    end the time in which it can be rolled back; after the flip
--          rollback  flip back: the slot comes back with all that was written there; after the flip
--
-- A mover does it, at its next step or when one runs again.
--
-- Answer  : move_id, slot, phase, wish
-- Touches : SELECT, UPDATE slot_move (by slot)
-- Errors  : 45400 no such wish   45503 no move of this slot is under way, or it is past that point
-- Replays : the same

DROP PROCEDURE IF EXISTS move_wish;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE move_wish (
    IN in_slot INT UNSIGNED,
    IN in_wish VARCHAR(16)
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: say what is to become of a move'
BEGIN
    DECLARE v_id    BIGINT UNSIGNED;
    DECLARE v_phase VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin;
    DECLARE v_flown TINYINT;
    DECLARE v_keep  BIGINT;
    DECLARE v_text  VARCHAR(128);

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    IF NOT COALESCE(in_wish IN ('go', 'pause', 'cancel', 'finish', 'rollback'), FALSE) THEN
        SIGNAL SQLSTATE '45400'
           SET MESSAGE_TEXT = 'move_wish needs go, pause, cancel, finish or rollback';
    END IF;

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    SELECT MAX(m.move_id),
           MAX(m.phase),
           MAX(m.flipped_at IS NOT NULL),
           MAX(m.keep_ms)
      INTO v_id,
           v_phase,
           v_flown,
           v_keep
      FROM slot_move AS m
     WHERE m.active = in_slot
       FOR UPDATE;

    SET v_text = CASE WHEN v_id IS NULL
                      THEN CONCAT('no move of slot ', in_slot, ' is under way on this shard')
                      WHEN in_wish = 'cancel' AND v_flown AND v_phase <> 'reverting'
                      THEN CONCAT('slot ', in_slot, ' has moved: roll it back instead')
                      WHEN in_wish IN ('finish', 'rollback') AND v_phase <> 'keeping'
                      THEN CONCAT('move ', v_id, ' is ', v_phase, ', not keeping')
                      WHEN in_wish = 'rollback' AND v_keep = 0
                      THEN CONCAT('move ', v_id, ' was asked for without a way back')
                 END;
    IF v_text IS NOT NULL THEN
        SIGNAL SQLSTATE '45503' SET MESSAGE_TEXT = v_text;
    END IF;

    UPDATE slot_move AS m
       SET m.wish = in_wish
     WHERE m.move_id = v_id;

    COMMIT;

    SELECT v_id AS move_id,
           in_slot AS slot,
           v_phase AS phase,
           in_wish AS wish;
END$$

DELIMITER ;
