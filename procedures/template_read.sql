-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- domain_verb: one owner is read, in one statement joined to the fence; see template.sql.
--
-- in_slot     slot of the user
-- in_epoch    epoch of the slot, as the router believes
-- in_user_id  user
--
-- Answer  : n, code, slot, epoch, server, user_id, ver
-- Codes   : ok notfound moved notready
-- Touches : SELECT slot_fence, slot_known (by slot), owner_home, user (by slot and user_id),
--           in one snapshot
-- Errors  : 45400 an argument is NULL
-- Replays : reads only

DROP PROCEDURE IF EXISTS domain_verb;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE domain_verb (
    IN in_slot    INT UNSIGNED,
    IN in_epoch   BIGINT UNSIGNED,
    IN in_user_id BIGINT UNSIGNED
)
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v1: what it does'
BEGIN
    IF in_slot IS NULL OR in_epoch IS NULL OR in_user_id IS NULL THEN
        SIGNAL SQLSTATE '45400' SET MESSAGE_TEXT = 'domain_verb needs slot, epoch and user_id';
    END IF;

    SELECT 1 AS n,
           CASE WHEN f.slot IS NULL OR f.epoch < in_epoch OR h.own_slot IS NOT NULL
                THEN 'moved'
                WHEN f.answer <> 'ok'
                THEN f.answer
                WHEN u.user_id IS NULL
                THEN 'notfound'
                ELSE 'ok'
           END AS code,
           COALESCE(h.own_slot, j.slot) AS slot,
           CASE WHEN h.own_slot IS NOT NULL
                THEN COALESCE(k.epoch, 0)
                ELSE GREATEST(COALESCE(f.epoch, 0), COALESCE(k.epoch, 0))
           END AS epoch,
           CASE WHEN h.own_slot IS NOT NULL OR COALESCE(k.epoch > f.epoch, f.slot IS NULL)
                THEN COALESCE(k.server, '')
                ELSE f.server
           END AS server,
           u.user_id,
           u.ver
      FROM (SELECT in_slot AS slot) AS j
      LEFT JOIN slot_fence AS f
        ON f.slot = j.slot
      LEFT JOIN owner_home AS h
        ON h.slot = IF(f.has_home = 1 AND f.answer = 'ok' AND f.epoch >= in_epoch, j.slot, NULL)
       AND h.owner_id = in_user_id
      LEFT JOIN slot_known AS k
        ON k.slot = COALESCE(h.own_slot, j.slot)
      LEFT JOIN user AS u
        ON u.slot = IF(f.answer = 'ok' AND f.epoch >= in_epoch AND h.own_slot IS NULL, j.slot, NULL)
       AND u.user_id = in_user_id
       AND u.state = 'live';
END$$

DELIMITER ;
