-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- user_login: find the account of a name, with what is needed to check a password.
--
-- in_slot   CRC32(name) MOD 1024
-- in_epoch  epoch of the slot, as the router believes
-- in_name   the name's UTF-8 bytes
--
-- Answer  : n, code, slot, epoch, server, user_id, password_hash
-- Codes   : ok notfound moved notready
-- Touches : SELECT slot_fence, slot_known (by slot), account (by slot and name), owner_home,
--           user (by slot and user_id), in one snapshot
-- Errors  : 45400 an argument is NULL, or the name does not belong into the slot
-- Replays : reads only. Is the user promoted, then the answer is moved with user_id and its
--           own slot, where user_secret has the rest.

DROP PROCEDURE IF EXISTS user_login;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE user_login (
    IN in_slot  INT UNSIGNED,
    IN in_epoch BIGINT UNSIGNED,
    IN in_name  VARBINARY(128)
)
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v1: find the account of a name'
BEGIN
    IF NOT COALESCE(CRC32(in_name) MOD 1024 = in_slot AND in_epoch >= 0, FALSE) THEN
        SIGNAL SQLSTATE '45400'
           SET MESSAGE_TEXT = 'user_login needs a name in its slot and an epoch';
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
           COALESCE(h.owner_id, u.user_id) AS user_id,
           u.password_hash
      FROM (SELECT in_slot AS slot) AS j
      LEFT JOIN slot_fence AS f
        ON f.slot = j.slot
      LEFT JOIN account AS a
        ON a.slot = IF(f.answer = 'ok' AND f.epoch >= in_epoch, j.slot, NULL)
       AND a.name = in_name
      LEFT JOIN owner_home AS h
        ON h.slot = IF(f.has_home = 1, a.slot, NULL)
       AND h.owner_id = a.user_id
      LEFT JOIN slot_known AS k
        ON k.slot = COALESCE(h.own_slot, j.slot)
      LEFT JOIN user AS u
        ON u.slot = a.slot
       AND u.user_id = a.user_id
       AND u.state = 'live'
       AND h.own_slot IS NULL;
END$$

DELIMITER ;
