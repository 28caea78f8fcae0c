-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- move_clean: nothing that is older lies around of an arriving slot any more, or, for a slot that
-- comes back with all of its rows, what lies there is to stay.
--
-- in_slot   the slot
-- in_token  of the mover
--
-- Answer  : slot
-- Touches : SELECT slot_fence (by slot, LOCK IN SHARE MODE); UPDATE slot_import (by slot)
-- Errors  : 45409 another mover has taken over
-- Replays : the same

DROP PROCEDURE IF EXISTS move_clean;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE move_clean (
    IN in_slot  INT UNSIGNED,
    IN in_token VARCHAR(32)
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: an arriving slot is clean'
BEGIN
    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    CALL _move_check(in_slot, in_token, 'importing');

    UPDATE slot_import AS i
       SET i.is_clean = 1
     WHERE i.slot = in_slot;

    COMMIT;

    SELECT in_slot AS slot;
END$$

DELIMITER ;
