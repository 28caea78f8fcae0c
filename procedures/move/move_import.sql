-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- move_import: begin to take a slot, or go on with it as another mover.
--
-- in_slot   the slot
-- in_to_epoch  that it will have here
-- in_token  of the mover, 32 hex digits
-- in_term   claims of the move so far: a mover that was paused has a lower one
-- in_giver  shard that it comes from
-- in_max    slots that may be arriving here at a time; 0: the move was called off, and what has
--           arrived is taken to be removed (move_purge, move_forget)
--
-- A copy that this shard has begun at this epoch goes on where it was; what is there of any other
-- is to be removed first (move_purge, then move_clean): is_clean says whether it was.
--
-- Answer  : is_begun (0: too many slots are arriving, or the shard is paused), is_clean, tbl,
--           after_key, row_count
-- Touches : SELECT shard_self (LOCK IN SHARE MODE); SELECT, INSERT, UPDATE slot_fence (by slot),
--           slot_import; slot_gen
-- Errors  : 45409 the fence here is newer, or this shard serves the slot
-- Replays : the same

DROP PROCEDURE IF EXISTS move_import;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE move_import (
    IN in_slot     INT UNSIGNED,
    IN in_to_epoch BIGINT UNSIGNED,
    IN in_token    VARCHAR(32),
    IN in_term     INT UNSIGNED,
    IN in_giver    VARCHAR(32),
    IN in_max      INT
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: begin to take a slot'
BEGIN
    DECLARE v_self   VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin;
    DECLARE v_state  VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin;
    DECLARE v_epoch  BIGINT UNSIGNED;
    DECLARE v_heard  BIGINT UNSIGNED;
    DECLARE v_term   INT UNSIGNED;
    DECLARE v_others INT;
    DECLARE v_paused TINYINT;
    DECLARE v_begins TINYINT;
    DECLARE v_text   VARCHAR(128);

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    SELECT MAX(ss.name),
           MAX(ss.paused_at) IS NOT NULL
      INTO v_self,
           v_paused
      FROM shard_self AS ss
      LOCK IN SHARE MODE;

    SELECT MAX(f.state),
           MAX(f.epoch),
           MAX(f.heard_epoch)
      INTO v_state,
           v_epoch,
           v_heard
      FROM slot_fence AS f
     WHERE f.slot = in_slot
       FOR UPDATE;

    SELECT MAX(i.term)
      INTO v_term
      FROM slot_import AS i
     WHERE i.slot = in_slot
       AND i.epoch = in_to_epoch;

    -- That a move was called off may have come here before the mover.
    IF v_epoch > in_to_epoch OR (v_heard > in_to_epoch AND in_max > 0)
       OR v_state IN ('owned', 'migrating') OR v_term > in_term
       OR (v_state = 'moved' AND v_epoch = in_to_epoch) THEN
        SET v_text = CONCAT('fenced out: slot ', in_slot, ' is ', v_state, ' at epoch ', v_epoch,
                            ' here, heard of at ', v_heard);
        SIGNAL SQLSTATE '45409' SET MESSAGE_TEXT = v_text;
    END IF;

    -- What no move fills any more does not count: shard_restored left it without a token, or the
    -- slot was claimed elsewhere since.
    SELECT COUNT(*)
      INTO v_others
      FROM slot_fence AS f
     WHERE f.state IN ('importing', 'ready')
       AND f.token IS NOT NULL
       AND f.heard_epoch <= f.epoch
       AND f.slot <> in_slot;

    -- Who is among those that arrive already goes on: two that began at once may be one too many,
    -- and all would wait for each other.
    SET v_begins = in_max = 0
                OR (NOT v_paused
                    AND (v_others < in_max OR COALESCE(v_state IN ('importing', 'ready'), FALSE)));

    IF v_begins THEN
        INSERT INTO slot_fence (slot, epoch, state, server, token, paused, changed_at)
        VALUES (in_slot, in_to_epoch, 'importing', v_self, UNHEX(in_token), v_paused, _now_ms())
            ON DUPLICATE KEY UPDATE
               epoch      = VALUES(epoch),
               state      = VALUES(state),
               server     = VALUES(server),
               token      = VALUES(token),
               journal    = 0,
               changed_at = VALUES(changed_at);

        CALL _slot_changed();

        INSERT INTO slot_import (slot, epoch, term, giver)
        VALUES (in_slot, in_to_epoch, in_term, in_giver)
            ON DUPLICATE KEY UPDATE
               is_clean  = IF(slot_import.epoch = VALUES(epoch), slot_import.is_clean, 0),
               tbl       = IF(slot_import.epoch = VALUES(epoch), slot_import.tbl, ''),
               after_key = IF(slot_import.epoch = VALUES(epoch), slot_import.after_key, ''),
               row_count = IF(slot_import.epoch = VALUES(epoch), slot_import.row_count, 0),
               giver     = VALUES(giver),
               term      = VALUES(term),
               epoch     = VALUES(epoch);
    END IF;

    COMMIT;

    SELECT v_begins AS is_begun,
           COALESCE(MAX(i.is_clean), 0) AS is_clean,
           COALESCE(MAX(i.tbl), '') AS tbl,
           COALESCE(MAX(i.after_key), '') AS after_key,
           COALESCE(MAX(i.row_count), 0) AS row_count
      FROM slot_import AS i
     WHERE i.slot = in_slot;
END$$

DELIMITER ;
