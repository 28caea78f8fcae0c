-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _op_home: the batch of one operation on an owner, wherever this shard thinks it is.
--
-- in_id  id of a user or video
--
-- For administration, whose caller knows only the id.
--
-- Touches : see _op_home_slot
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
    RETURN JSON_ARRAY(JSON_OBJECT('slot', _op_home_slot(in_id), 'epoch', 0, 'owner', in_id));
END$$

DELIMITER ;
