-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- slot_epochs: what this shard has heard of every slot, for a restored shard.
--
-- next is the lowest epoch that nothing here has used (_slot_epoch_next); epoch and server are
-- those of the highest claim that it knows, its own or another's, epoch 0: none. state is that of
-- its own fence, - when it has none. homes says how many forwarding entries, in slots that this
-- shard has, lead to it (of own slots).
--
-- Answer  : slot, next, epoch, server, state, homes
-- Touches : SELECT slot_fence, slot_known, slot_move, owner_home (all rows)
-- Errors  : none
-- Replays : reads only

DROP PROCEDURE IF EXISTS slot_epochs;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE slot_epochs ()
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v1: what this shard has heard of every slot'
BEGIN
    SELECT t.slot,
           MAX(t.used) + 1 AS next,
           MAX(t.epoch) AS epoch,
           SUBSTRING(MAX(CONCAT(LPAD(t.epoch, 8, '0'), t.server)), 9) AS server,
           COALESCE(MAX(t.state), '-') AS state,
           SUM(t.homes) AS homes
      FROM (SELECT f.slot,
                   GREATEST(f.epoch, f.heard_epoch) AS used,
                   IF(f.state IN ('importing', 'ready'), 0, f.epoch) AS epoch,
                   IF(f.state IN ('importing', 'ready'), '', f.server) AS server,
                   CAST(f.state AS CHAR) AS state,
                   0 AS homes
              FROM slot_fence AS f
             UNION ALL
            SELECT k.slot,
                   k.epoch AS used,
                   k.epoch,
                   k.server,
                   NULL AS state,
                   0 AS homes
              FROM slot_known AS k
             UNION ALL
            SELECT m.slot,
                   m.epoch AS used,
                   0 AS epoch,
                   '' AS server,
                   NULL AS state,
                   0 AS homes
              FROM slot_move AS m
             UNION ALL
            SELECT h.own_slot AS slot,
                   0 AS used,
                   0 AS epoch,
                   '' AS server,
                   NULL AS state,
                   COUNT(*) AS homes
              FROM owner_home AS h
             GROUP BY h.own_slot) AS t
     GROUP BY t.slot
     ORDER BY t.slot;
END$$

DELIMITER ;
