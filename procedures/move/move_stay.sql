-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- move_stay: a slot that was to be rolled back stays where it is; on the shard that has it.
--
-- in_slot      the slot
-- in_to_epoch  that it would have had where it came from
-- in_token     of the mover
--
-- It goes on above that epoch, so that nobody's ready fence is ever right, and its journal ends;
-- what is left of that is for move_sweep.
--
-- Answer  : epoch
-- Touches : SELECT, UPDATE slot_fence (by slot, FOR UPDATE); INSERT, UPDATE slot_known; slot_gen
-- Errors  : 45409 another mover has taken over, or the slot has gone back
-- Replays : raises nothing more

DROP PROCEDURE IF EXISTS move_stay;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE move_stay (
    IN in_slot     INT UNSIGNED,
    IN in_to_epoch BIGINT UNSIGNED,
    IN in_token    VARCHAR(32)
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: a slot is not rolled back'
BEGIN
    DECLARE v_state VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin;
    DECLARE v_epoch BIGINT UNSIGNED;

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    SELECT MAX(f.state),
           MAX(f.epoch)
      INTO v_state,
           v_epoch
      FROM slot_fence AS f
     WHERE f.slot = in_slot
       AND f.state IN ('owned', 'migrating')
       AND (f.token = UNHEX(in_token) OR f.epoch > in_to_epoch)
       FOR UPDATE;

    IF v_state IS NULL THEN
        SIGNAL SQLSTATE '45409' SET MESSAGE_TEXT = 'fenced out: another mover has taken the slot';
    END IF;

    IF v_epoch <= in_to_epoch THEN
        SET v_epoch = in_to_epoch + 1;

        UPDATE slot_fence AS f
           SET f.state      = 'owned',
               f.epoch      = v_epoch,
               f.token      = NULL,
               f.journal    = 0,
               f.changed_at = _now_ms()
         WHERE f.slot = in_slot;

        INSERT INTO slot_known (slot, epoch, server)
        SELECT in_slot,
               v_epoch,
               ss.name
          FROM shard_self AS ss
            ON DUPLICATE KEY UPDATE
               epoch  = VALUES(epoch),
               server = VALUES(server);

        CALL _slot_changed();
    END IF;

    COMMIT;

    SELECT v_epoch AS epoch;
END$$

DELIMITER ;
