-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- domain_verb: what operators ask one shard about itself; see template.sql.
--
-- Answer  : slot, state
-- Touches : SELECT slot_fence (all rows)
-- Errors  : none
-- Replays : reads only

DROP PROCEDURE IF EXISTS domain_verb;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE domain_verb ()
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v1: what it does'
BEGIN
    SELECT f.slot,
           f.state
      FROM slot_fence AS f
     ORDER BY f.slot;
END$$

DELIMITER ;
