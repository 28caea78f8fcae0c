-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- move_drained: the changes that move_drain answered on this connection are at the taker.
--
-- in_slot   the slot
-- in_token  of the mover
--
-- That writers may be told to wait (_slot_log_bound) rests on what is noted here: on the shard that
-- was asked for the move in slot_move, on the one that it may come back from in slot_import.
--
-- Answer  : entries (removed), backlog (that are left, at most)
-- Touches : SELECT slot_fence (by slot, LOCK IN SHARE MODE); SELECT slot_log (by slot); DELETE
--           slot_log (by id); UPDATE slot_move, slot_import (by slot)
-- Errors  : 45409 another mover has taken over
-- Replays : removes nothing more

DROP PROCEDURE IF EXISTS move_drained;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE move_drained (
    IN in_slot  INT UNSIGNED,
    IN in_token VARCHAR(32)
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: changes have arrived'
BEGIN
    DECLARE v_count INT;
    DECLARE v_left  BIGINT;

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    CALL _move_tables();

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    CALL _move_check(in_slot, in_token, 'owned,migrating');

    DELETE l
      FROM move_entry AS e
     STRAIGHT_JOIN slot_log AS l FORCE INDEX (PRIMARY)
        ON l.id = e.id;

    SET v_count = ROW_COUNT();

    UPDATE slot_move AS m
       SET m.drained_at = _now_ms()
     WHERE m.active = in_slot;

    IF ROW_COUNT() = 0 THEN
        UPDATE slot_import AS i
           SET i.drained_at = _now_ms()
         WHERE i.slot = in_slot;
    END IF;

    -- No fewer than there are: numbers of other slots may lie between.
    SELECT COALESCE(MAX(l.id) - MIN(l.id) + 1, 0)
      INTO v_left
      FROM slot_log AS l FORCE INDEX (drain)
     WHERE l.slot = in_slot;

    COMMIT;

    SELECT v_count AS entries,
           v_left AS backlog;
END$$

DELIMITER ;
