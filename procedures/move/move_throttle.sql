-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- move_throttle: bound how fast the move of a slot goes; on the shard that gives it.
--
-- in_slot        the slot
-- in_rows_per_s  rows copied, compared or removed a second; 0: as many as the load of both
--                shards allows
--
-- Answer  : move_id, slot, rows_per_s
-- Touches : SELECT, UPDATE slot_move (by slot)
-- Errors  : 45400 no number   45503 no move of this slot is under way
-- Replays : the same

DROP PROCEDURE IF EXISTS move_throttle;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE move_throttle (
    IN in_slot       INT UNSIGNED,
    IN in_rows_per_s INT UNSIGNED
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: bound how fast a move copies'
BEGIN
    DECLARE v_id   BIGINT UNSIGNED;
    DECLARE v_text VARCHAR(128);

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    IF in_rows_per_s IS NULL THEN
        SIGNAL SQLSTATE '45400' SET MESSAGE_TEXT = 'move_throttle needs rows a second, or 0';
    END IF;

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    SELECT MAX(m.move_id)
      INTO v_id
      FROM slot_move AS m
     WHERE m.active = in_slot
       FOR UPDATE;

    IF v_id IS NULL THEN
        SET v_text = CONCAT('no move of slot ', in_slot, ' is under way on this shard');
        SIGNAL SQLSTATE '45503' SET MESSAGE_TEXT = v_text;
    END IF;

    UPDATE slot_move AS m
       SET m.rows_per_s = in_rows_per_s
     WHERE m.move_id = v_id;

    COMMIT;

    SELECT v_id AS move_id,
           in_slot AS slot,
           in_rows_per_s AS rows_per_s;
END$$

DELIMITER ;
