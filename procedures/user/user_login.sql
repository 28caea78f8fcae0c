-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- user_login: find the account of a name, with what is needed to check a password.
--
-- in_slot   CRC32(name) MOD 1024
-- in_epoch  epoch of the slot, as the router believes
-- in_name   the name's UTF-8 bytes
--
-- Answer  : n, code, slot, epoch, server, user_id, password_hash, op (that made the account)
-- Answer 2: as _op_refusals (when this shard does not serve the name)
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
    COMMENT 'v2 serves v1: find the account of a name'
BEGIN
    IF NOT COALESCE(CRC32(in_name) MOD 1024 = in_slot AND in_epoch >= 0, FALSE) THEN
        SIGNAL SQLSTATE '45400'
           SET MESSAGE_TEXT = 'user_login needs a name in its slot and an epoch';
    END IF;

    SELECT 1 AS n,
           CASE WHEN h.own_slot IS NOT NULL
                THEN 'moved'
                WHEN u.user_id IS NULL
                THEN 'notfound'
                ELSE 'ok'
           END AS code,
           COALESCE(h.own_slot, f.slot) AS slot,
           IF(h.own_slot IS NULL, f.epoch, COALESCE(k.epoch, 0)) AS epoch,
           IF(h.own_slot IS NULL, f.server, COALESCE(k.server, '')) AS server,
           COALESCE(h.owner_id, u.user_id) AS user_id,
           u.password_hash,
           LOWER(HEX(a.op)) AS op
      FROM slot_fence AS f
      LEFT JOIN account AS a
        ON a.slot = f.slot
       AND a.name = in_name
      LEFT JOIN owner_home AS h
        ON h.slot = IF(f.has_home = 1, a.slot, NULL)
       AND h.owner_id = a.user_id
      LEFT JOIN slot_known AS k
        ON k.slot = h.own_slot
      LEFT JOIN user AS u
        ON u.slot = a.slot
       AND u.user_id = a.user_id
       AND u.state <> 'erased'
       AND h.own_slot IS NULL
     WHERE f.slot = in_slot
       AND f.answer = 'ok'
       AND f.epoch >= in_epoch;

    IF FOUND_ROWS() = 0 THEN
        CALL _op_refusals(JSON_ARRAY(JSON_OBJECT('slot', in_slot, 'epoch', in_epoch, 'owner', 0)));
    END IF;
END$$

DELIMITER ;
