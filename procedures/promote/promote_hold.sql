-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- promote_hold: from now on only this session makes and drops the partitions of an own slot.
--
-- in_slot   the own slot
-- in_token  of the mover
--
-- An ALTER TABLE is not in a transaction that could check a fence. So a session takes a lock before
-- it alters, and keeps it until it ends. A stalled mover keeps it, too: its successor ends that
-- session by the tag partsSLOT (conn_kill), and then knows that it alters nothing any more.
--
-- Answer  : is_held (0: another session has the lock)
-- Touches : the lock of the slot's partitions; SELECT slot_fence (by slot), slot_move (those under
--           way)
-- Errors  : 45409 another mover has taken over
-- Replays : the same

DROP PROCEDURE IF EXISTS promote_hold;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE promote_hold (
    IN in_slot  INT UNSIGNED,
    IN in_token VARCHAR(32)
)
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v1: the partitions of an own slot are one mover\'s'
BEGIN
    DECLARE v_lock VARCHAR(32) DEFAULT CONCAT('doushard:parts', in_slot);
    DECLARE v_held TINYINT DEFAULT COALESCE(GET_LOCK(v_lock, 0), 0);

    -- Under the lock: a mover that claims the move after this finds it taken.
    IF NOT EXISTS (SELECT 1
                     FROM slot_fence AS f
                    WHERE f.slot = in_slot
                      AND f.token = UNHEX(in_token)
                      AND f.state IN ('importing', 'moved'))
       AND NOT EXISTS (SELECT 1
                         FROM slot_move AS m FORCE INDEX (active)
                        WHERE m.active IS NOT NULL
                          AND m.kind <> 'move'
                          AND m.own_slot = in_slot
                          AND m.token = UNHEX(in_token)) THEN
        DO RELEASE_LOCK(v_lock);
        SIGNAL SQLSTATE '45409' SET MESSAGE_TEXT = 'fenced out: another mover has taken the slot';
    END IF;

    SELECT v_held AS is_held;
END$$

DELIMITER ;
