-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- user_secret: the password hash of a live user.
--
-- in_slot     slot of the user
-- in_epoch    epoch of the slot, as the router believes
-- in_user_id  user
--
-- Answer  : n, code, slot, epoch, server, user_id, password_hash
-- Answer 2: as _op_refusals (when this shard does not serve the owner)
-- Codes   : ok notfound moved notready
-- Touches : SELECT slot_fence (by slot), owner_home, user (by slot and user_id),
--           in one snapshot
-- Errors  : 45400 an argument is NULL
-- Replays : reads only

DROP PROCEDURE IF EXISTS user_secret;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE user_secret (
    IN in_slot    INT UNSIGNED,
    IN in_epoch   BIGINT UNSIGNED,
    IN in_user_id BIGINT UNSIGNED
)
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v1: the password hash of a user'
BEGIN
    IF in_slot IS NULL OR in_epoch IS NULL OR in_user_id IS NULL THEN
        SIGNAL SQLSTATE '45400' SET MESSAGE_TEXT = 'user_secret needs slot, epoch and user_id';
    END IF;

    SELECT 1 AS n,
           IF(u.user_id IS NULL, 'notfound', 'ok') AS code,
           f.slot,
           f.epoch,
           f.server,
           u.user_id,
           u.password_hash
      FROM slot_fence AS f
      LEFT JOIN owner_home AS h
        ON h.slot = IF(f.has_home = 1, f.slot, NULL)
       AND h.owner_id = in_user_id
      LEFT JOIN user AS u
        ON u.slot = f.slot
       AND u.user_id = in_user_id
       AND u.state <> 'erased'
     WHERE f.slot = in_slot
       AND f.answer = 'ok'
       AND f.epoch >= in_epoch
       AND h.owner_id IS NULL;

    IF FOUND_ROWS() = 0 THEN
        CALL _op_refusals(JSON_ARRAY(JSON_OBJECT('slot', in_slot, 'epoch', in_epoch,
                                                 'owner', in_user_id)));
    END IF;
END$$

DELIMITER ;
