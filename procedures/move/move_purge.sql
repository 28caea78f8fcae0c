-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- move_purge: remove rows of a slot that this shard does not have: it moved away, or is still
-- arriving.
--
-- in_slot   the slot
-- in_to_epoch  of the fence: that of the move, whichever side this is
-- in_token  of the mover
-- in_tbl    the table
-- in_limit  at most so many rows, 1 to 20000
--
-- Answer  : row_count (removed; fewer than the limit: the table has no more)
-- Touches : SELECT slot_fence (by slot, LOCK IN SHARE MODE); DELETE the table (by key)
-- Errors  : 45400 the limit is out of range   45409 another mover has taken over, or the slot is
--           served here
-- Replays : removes nothing more

DROP PROCEDURE IF EXISTS move_purge;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE move_purge (
    IN in_slot     INT UNSIGNED,
    IN in_to_epoch BIGINT UNSIGNED,
    IN in_token    VARCHAR(32),
    IN in_tbl      VARCHAR(16),
    IN in_limit    INT
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: remove rows of a slot that left'
BEGIN
    DECLARE v_count INT;
    DECLARE v_epoch BIGINT UNSIGNED;

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    IF NOT COALESCE(in_limit BETWEEN 1 AND 20000, FALSE) THEN
        SIGNAL SQLSTATE '45400' SET MESSAGE_TEXT = 'move_purge needs a limit of 1 to 20000';
    END IF;

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    CALL _move_check(in_slot, in_token, 'importing,moved');

    SELECT MAX(f.epoch)
      INTO v_epoch
      FROM slot_fence AS f
     WHERE f.slot = in_slot;

    IF v_epoch <> in_to_epoch THEN
        SIGNAL SQLSTATE '45409' SET MESSAGE_TEXT = 'fenced out: the slot has moved on';
    END IF;

    CALL _move_tables();

    DELETE FROM move_key;

    CALL _move_find(in_slot, in_tbl, 0, NULL, NULL, in_limit);

    SELECT COUNT(*)
      INTO v_count
      FROM move_key AS k;

    CALL _move_drop(in_slot, in_tbl);

    COMMIT;

    SELECT v_count AS row_count;
END$$

DELIMITER ;
