-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- move_unlock: give a flip up that move_lock began on this connection: the slot stays here.
--
-- Answer  : unlocked
-- Touches : slot_fence
-- Errors  : none
-- Replays : nothing is open any more

DROP PROCEDURE IF EXISTS move_unlock;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE move_unlock ()
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: give a flip up'
BEGIN
    ROLLBACK;

    SELECT 1 AS unlocked;
END$$

DELIMITER ;
