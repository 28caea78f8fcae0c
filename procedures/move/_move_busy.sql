-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _move_busy: the move that keeps a slot from being moved, promoted from or demoted to.
--
-- in_slot  the slot; the caller has locked its fence
--
-- A slot that an owner leaves, or comes back to, stays where it is until his old rows are gone, and
-- so does his own.
--
-- Touches : SELECT slot_move (those under way)
-- Errors  : none
-- Replays : reads only

DROP FUNCTION IF EXISTS _move_busy;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost FUNCTION _move_busy (
    in_slot INT UNSIGNED
)
    RETURNS BIGINT UNSIGNED
    NOT DETERMINISTIC
    READS SQL DATA
    SQL SECURITY DEFINER
    COMMENT 'v1: move that a slot takes part in'
BEGIN
    RETURN (SELECT MAX(m.move_id)
              FROM slot_move AS m FORCE INDEX (active)
             WHERE m.active IS NOT NULL
               AND (m.active = in_slot
                    OR (m.kind = 'promote' AND m.own_slot = in_slot AND in_slot >= 1024)
                    OR (m.kind = 'demote' AND (m.owner_id DIV 8) MOD 1024 = in_slot)));
END$$

DELIMITER ;
