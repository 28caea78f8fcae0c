-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _shard_refuse: let this shard serve nobody until shard_admit.
--
-- in_why  how it was found
--
-- A pause that shard_resume does not end: all fences are locked and marked, as shard_pause does.
-- A shard that is already refused keeps time and reason, but the epochs must be raised again.
--
-- Touches : SELECT, UPDATE shard_self; UPDATE slot_fence (all rows), slot_gen
-- Errors  : none
-- Replays : changes nothing more

DROP PROCEDURE IF EXISTS _shard_refuse;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _shard_refuse (
    IN in_why VARCHAR(200)
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: refuse this shard'
BEGIN
    DECLARE v_now BIGINT DEFAULT _now_ms();

    UPDATE shard_self AS ss
       SET ss.refused_why = IF(ss.refused_at IS NULL, in_why, ss.refused_why),
           ss.paused_by   = IF(ss.paused_at IS NULL, USER(), ss.paused_by),
           ss.paused_why  = IF(ss.paused_at IS NULL, CONCAT('refused: ', LEFT(in_why, 191)),
                               ss.paused_why),
           ss.settled_at  = NULL,
           ss.refused_at  = COALESCE(ss.refused_at, v_now),
           ss.paused_at   = COALESCE(ss.paused_at, ss.refused_at);

    UPDATE slot_fence AS f
       SET f.paused = 1
     ORDER BY f.slot;

    CALL _slot_changed();
END$$

DELIMITER ;
