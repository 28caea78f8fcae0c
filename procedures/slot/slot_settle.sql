-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- slot_settle: decide who has a disputed slot, on the shard that shall have it.
--
-- in_slot    the slot
-- in_server  name of the shard that is to have it: this one, so that a CALL in the wrong
--            place is refused
--
-- When: /readyz or the log (slot_disputed) says that two shards claim a slot at one epoch:
-- one is a copy of the other, or a fence was changed by hand. Both have stopped serving it and go
-- on refusing until an operator decides; the software cannot know whose rows are right. Compare
-- them first (user_tables, slot_stats, user_audit on both), then CALL this on the shard whose rows
-- shall count. Also when a shard stopped serving a slot (answer moved, state owned in slot_status)
-- for an epoch that turns out to be a mistake.
--
-- What it does: the fence here claims the slot at an epoch above everything that this shard
-- has heard of it. Routers adopt that with their next look, within 5 s, and tell all other
-- shards, which stop for good. Nothing is ever taken back: who chose the wrong shard settles
-- again, on the other one. The rows that the others keep are neither merged nor removed. A
-- move of the slot that is under way is given up; one that is past its flip waits for move_wish.
--
-- Answer  : slot, epoch, server
-- Touches : SELECT shard_self; SELECT slot_move (by slot); SELECT, UPDATE slot_fence (by
--           slot, waits for the writes that passed it); SELECT, INSERT, UPDATE slot_known;
--           slot_gen
-- Errors  : 45400 an argument is NULL or malformed   45503 this is another shard, its fence
--           does not claim the slot, or there is no higher epoch
-- Replays : raises the epoch once more, which changes nothing else

DROP PROCEDURE IF EXISTS slot_settle;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE slot_settle (
    IN in_slot   INT UNSIGNED,
    IN in_server VARCHAR(64)
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: decide who has a slot'
BEGIN
    DECLARE v_self   VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin;
    DECLARE v_claims INT;
    DECLARE v_epoch  BIGINT UNSIGNED;
    DECLARE v_text   VARCHAR(128);

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    IF NOT COALESCE(in_slot IS NOT NULL
                    AND in_server REGEXP '^[A-Za-z0-9][A-Za-z0-9_.-]{0,31}$', FALSE) THEN
        SIGNAL SQLSTATE '45400' SET MESSAGE_TEXT = 'slot_settle needs a slot and a server';
    END IF;

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    SELECT MAX(ss.name)
      INTO v_self
      FROM shard_self AS ss;

    SELECT COUNT(*)
      INTO v_claims
      FROM slot_fence AS f
     WHERE f.slot = in_slot
       AND f.state IN ('owned', 'migrating')
       FOR UPDATE;

    SET v_epoch = _slot_epoch_next(in_slot);

    SET v_text = CASE WHEN v_self IS NULL OR v_self <> in_server
                      THEN CONCAT('this shard is ', COALESCE(v_self, 'not named'),
                                  ': settle on the one that is to have the slot')
                      WHEN v_claims = 0
                      THEN CONCAT('the fence here does not claim slot ', in_slot)
                      WHEN v_epoch > 1048575
                      THEN CONCAT('slot ', in_slot, ' has no higher epoch')
                 END;
    IF v_text IS NOT NULL THEN
        SIGNAL SQLSTATE '45503' SET MESSAGE_TEXT = v_text;
    END IF;

    UPDATE slot_fence AS f
       SET f.epoch      = v_epoch,
           f.state      = 'owned',
           f.server     = in_server,
           f.token      = NULL,
           f.journal    = 0,
           f.changed_at = _now_ms()
     WHERE f.slot = in_slot;

    CALL _slot_changed();

    INSERT INTO slot_known (slot, epoch, server)
    VALUES (in_slot, v_epoch, in_server)
        ON DUPLICATE KEY UPDATE
           epoch  = VALUES(epoch),
           server = VALUES(server);

    COMMIT;

    SELECT in_slot AS slot,
           v_epoch AS epoch,
           in_server AS server;
END$$

DELIMITER ;
