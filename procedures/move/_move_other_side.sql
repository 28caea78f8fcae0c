-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _move_other_side: does this mover promote an owner to this slot, or demote one to it?
--
-- in_slot   the slot
-- in_token  of the mover, 32 hex digits
--
-- Such a slot has no token of its own: that of the slot which the owner leaves guards both, since
-- both are here.
--
-- Touches : SELECT slot_move (those under way)
-- Errors  : none
-- Replays : reads only

DROP FUNCTION IF EXISTS _move_other_side;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost FUNCTION _move_other_side (
    in_slot  INT UNSIGNED,
    in_token VARCHAR(32)
)
    RETURNS TINYINT
    NOT DETERMINISTIC
    READS SQL DATA
    SQL SECURITY DEFINER
    COMMENT 'v1: does an owner come to this slot'
BEGIN
    RETURN EXISTS (SELECT 1
                     FROM slot_move AS m FORCE INDEX (active)
                    WHERE m.active IS NOT NULL
                      AND m.kind <> 'move'
                      AND m.token = UNHEX(in_token)
                      AND in_slot = IF(m.kind = 'promote', m.own_slot,
                                       (m.owner_id DIV 8) MOD 1024));
END$$

DELIMITER ;
