-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- slot_status: this shard's part in every slot, for operators.
--
-- answer is what a call gets: moved, although the state is owned or migrating, if this shard is out
-- of date (heard_epoch above epoch) or another claims the slot as well (rival_epoch not below
-- epoch; see slot_settle).
--
-- Answer  : slot, state, epoch, server, answer, heard_epoch, rival_epoch, journal, has_home,
--           changed_at
-- Touches : SELECT slot_fence (all rows)
-- Errors  : none
-- Replays : reads only

DROP PROCEDURE IF EXISTS slot_status;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE slot_status ()
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v2 serves v1: what this shard is to every slot'
BEGIN
    SELECT f.slot,
           f.state,
           f.epoch,
           f.server,
           f.answer,
           f.heard_epoch,
           f.rival_epoch,
           f.journal,
           f.has_home,
           f.changed_at
      FROM slot_fence AS f
     ORDER BY f.slot;
END$$

DELIMITER ;
