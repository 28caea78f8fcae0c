-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- user_find: the user of a name, for operators.
--
-- in_name  the name
--
-- Erased users are found too: their names stay taken. moved with a user_id: he was promoted,
-- state and the rest are where server says, in slot.
--
-- Answer  : n, code, slot, epoch, server, user_id, name, state, created_at (ms since the Unix
--           epoch), sessions
-- Codes   : ok notfound moved notready
-- Touches : SELECT slot_fence, slot_known (by slot), account (by slot and name), owner_home,
--           user (by slot and user_id), session (by slot and user_id), in one snapshot
-- Errors  : 45400 no name
-- Replays : reads only

DROP PROCEDURE IF EXISTS user_find;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE user_find (
    IN in_name VARCHAR(128)
)
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v1: the user of a name'
BEGIN
    DECLARE v_name VARBINARY(512) DEFAULT CAST(in_name AS BINARY);

    IF NOT COALESCE(LENGTH(v_name) BETWEEN 1 AND 128, FALSE) THEN
        SIGNAL SQLSTATE '45400' SET MESSAGE_TEXT = 'user_find needs a name of 1 to 128 bytes';
    END IF;

    SELECT 1 AS n,
           CASE WHEN f.slot IS NULL OR h.own_slot IS NOT NULL
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
           u.name,
           u.state,
           u.created_at,
           (SELECT COUNT(*)
              FROM session AS s
             WHERE s.slot = u.slot
               AND s.user_id = u.user_id) AS sessions
      FROM (SELECT CRC32(v_name) MOD 1024 AS slot) AS j
      LEFT JOIN slot_fence AS f
        ON f.slot = j.slot
      LEFT JOIN account AS a
        ON a.slot = IF(f.answer = 'ok', j.slot, NULL)
       AND a.name = v_name
      LEFT JOIN owner_home AS h
        ON h.slot = IF(f.has_home = 1, a.slot, NULL)
       AND h.owner_id = a.user_id
      LEFT JOIN slot_known AS k
        ON k.slot = COALESCE(h.own_slot, j.slot)
      LEFT JOIN user AS u
        ON u.slot = IF(h.own_slot IS NULL, a.slot, NULL)
       AND u.user_id = a.user_id;
END$$

DELIMITER ;
