-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- move_look: what this shard is to a slot, for a mover.
--
-- in_slot  the slot
--
-- Answer  : server, state (none: it has no fence), epoch, token (hex; empty: none), journal,
--           owner_is (shard that has it, as far as is known here), next_epoch (see
--           _slot_epoch_next)
-- Touches : SELECT shard_self, slot_fence, slot_known, slot_move (by slot)
-- Errors  : none
-- Replays : reads only

DROP PROCEDURE IF EXISTS move_look;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE move_look (
    IN in_slot INT UNSIGNED
)
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v1: what this shard is to a slot'
BEGIN
    SELECT ss.name AS server,
           COALESCE(f.state, 'none') AS state,
           COALESCE(f.epoch, 0) AS epoch,
           COALESCE(LOWER(HEX(f.token)), '') AS token,
           COALESCE(f.journal, 0) AS journal,
           COALESCE(f.server, '') AS owner_is,
           _slot_epoch_next(in_slot) AS next_epoch
      FROM shard_self AS ss
      LEFT JOIN slot_fence AS f
        ON f.slot = in_slot;
END$$

DELIMITER ;
