-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- slot_where: where the rows of a user or video are, as far as this shard knows.
--
-- in_id  id of a user or video
--
-- slot is the one its bits name, or the own slot of a promoted owner (known where its
-- forwarding entry is). state is that of this shard's fence: unknown when it has none.
--
-- Answer  : slot, state, epoch, server
-- Touches : SELECT owner_home (by slot and owner_id), slot_fence, slot_known (by slot)
-- Errors  : 45400 no id
-- Replays : reads only

DROP PROCEDURE IF EXISTS slot_where;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE slot_where (
    IN in_id BIGINT UNSIGNED
)
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v1: where the rows of an owner are'
BEGIN
    IF NOT COALESCE(in_id BETWEEN 1 AND 9007199254740991, FALSE) THEN
        SIGNAL SQLSTATE '45400' SET MESSAGE_TEXT = 'slot_where needs an id of a user or video';
    END IF;

    SELECT COALESCE(h.own_slot, j.slot) AS slot,
           COALESCE(f.state, 'unknown') AS state,
           GREATEST(COALESCE(f.epoch, 0), COALESCE(k.epoch, 0)) AS epoch,
           IF(COALESCE(k.epoch > f.epoch, f.slot IS NULL),
              COALESCE(k.server, ''), f.server) AS server
      FROM (SELECT (in_id DIV 8) MOD 1024 AS slot) AS j
      LEFT JOIN owner_home AS h
        ON h.slot = j.slot
       AND h.owner_id = in_id
      LEFT JOIN slot_fence AS f
        ON f.slot = COALESCE(h.own_slot, j.slot)
      LEFT JOIN slot_known AS k
        ON k.slot = COALESCE(h.own_slot, j.slot);
END$$

DELIMITER ;
