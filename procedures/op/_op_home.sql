-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _op_home: the batch of one operation on an owner, wherever this shard thinks it is.
--
-- in_id  id of a user or video
--
-- For administration, whose caller knows the id alone.
--
-- Touches : SELECT owner_home (by slot and owner_id)
-- Errors  : none
-- Replays : reads only

DROP FUNCTION IF EXISTS _op_home;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost FUNCTION _op_home (
    in_id BIGINT UNSIGNED
)
    RETURNS LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
    NOT DETERMINISTIC
    READS SQL DATA
    SQL SECURITY DEFINER
    COMMENT 'v1: batch of one operation on an owner'
BEGIN
    RETURN (SELECT JSON_ARRAY(JSON_OBJECT('slot', COALESCE(h.own_slot, j.slot),
                                          'epoch', 0,
                                          'owner', in_id))
              FROM (SELECT (in_id DIV 8) MOD 1024 AS slot) AS j
              LEFT JOIN owner_home AS h
                ON h.slot = j.slot
               AND h.owner_id = in_id);
END$$

DELIMITER ;
