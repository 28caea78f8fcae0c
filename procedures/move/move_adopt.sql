-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- move_adopt: go on with a move whose flip is done, as the mover that has claimed it last; on both
-- shards.
--
-- in_slot      the slot
-- in_to_epoch  of the fence: that of the flip
-- in_token     of the mover, 32 hex digits
-- in_term      claims of the move so far
--
-- On the shard that was asked for the move the claim itself proves that nobody came later; on the
-- other one the highest number of claims that it has heard of.
--
-- Answer  : state
-- Touches : SELECT, UPDATE slot_fence (by slot, FOR UPDATE); SELECT slot_move; SELECT, UPDATE
--           slot_import (by slot)
-- Errors  : 45409 another mover has taken over, or the fence is at another epoch
-- Replays : the same

DROP PROCEDURE IF EXISTS move_adopt;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE move_adopt (
    IN in_slot     INT UNSIGNED,
    IN in_to_epoch BIGINT UNSIGNED,
    IN in_token    VARCHAR(32),
    IN in_term     INT UNSIGNED
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: go on behind another mover'
BEGIN
    DECLARE v_state VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin;
    DECLARE v_here  INT;
    DECLARE v_good  INT;

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    SELECT MAX(f.state)
      INTO v_state
      FROM slot_fence AS f
     WHERE f.slot = in_slot
       AND f.epoch = in_to_epoch
       AND f.state IN ('owned', 'migrating', 'moved')
       FOR UPDATE;

    SELECT COUNT(*),
           COALESCE(SUM(m.token = UNHEX(in_token)), 0)
      INTO v_here,
           v_good
      FROM slot_move AS m
     WHERE m.active = in_slot
      LOCK IN SHARE MODE;

    IF v_here = 0 THEN
        SELECT COUNT(*)
          INTO v_good
          FROM slot_import AS i
         WHERE i.slot = in_slot
           AND i.epoch <= in_to_epoch
           AND i.term <= in_term
           FOR UPDATE;
    END IF;

    IF v_state IS NULL OR v_good = 0 THEN
        SIGNAL SQLSTATE '45409' SET MESSAGE_TEXT = 'fenced out: another mover has taken the slot';
    END IF;

    UPDATE slot_fence AS f
       SET f.token = UNHEX(in_token)
     WHERE f.slot = in_slot;

    UPDATE slot_import AS i
       SET i.term = in_term
     WHERE i.slot = in_slot
       AND v_here = 0;

    COMMIT;

    SELECT v_state AS state;
END$$

DELIMITER ;
