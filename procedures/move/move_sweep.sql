-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- move_sweep: remove what is left of a journal that is not kept any more.
--
-- in_slot   the slot
-- in_limit  at most so many entries, 1 to 20000
--
-- Answer  : row_count (removed; fewer than the limit: there are no more)
-- Touches : SELECT slot_fence (by slot, LOCK IN SHARE MODE); DELETE slot_log, slot_lost (by slot)
-- Errors  : 45400 the limit is out of range
-- Replays : removes nothing more

DROP PROCEDURE IF EXISTS move_sweep;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE move_sweep (
    IN in_slot  INT UNSIGNED,
    IN in_limit INT
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: remove a journal that is over'
BEGIN
    DECLARE v_kept  TINYINT;
    DECLARE v_count INT DEFAULT 0;

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    IF NOT COALESCE(in_limit BETWEEN 1 AND 20000, FALSE) THEN
        SIGNAL SQLSTATE '45400' SET MESSAGE_TEXT = 'move_sweep needs a limit of 1 to 20000';
    END IF;

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    SELECT MAX(f.state = 'migrating' OR f.journal = 1)
      INTO v_kept
      FROM slot_fence AS f
     WHERE f.slot = in_slot
      LOCK IN SHARE MODE;

    IF NOT COALESCE(v_kept, 0) THEN
        DELETE
          FROM slot_lost
         WHERE slot = in_slot;

        DELETE
          FROM slot_log
         WHERE slot = in_slot
         ORDER BY id
         LIMIT in_limit;

        SET v_count = ROW_COUNT();
    END IF;

    COMMIT;

    SELECT v_count AS row_count;
END$$

DELIMITER ;
