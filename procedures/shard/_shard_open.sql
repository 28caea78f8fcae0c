-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _shard_open: may the caller see the rows of this shard although it is refused?
--
-- 1: the shard is refused, and the caller is the operator, whose programs compare and repair its
-- rows before they admit it (shardctl verify). Everybody else is answered notready.
--
-- Touches : SELECT shard_self
-- Errors  : none
-- Replays : reads only

DROP FUNCTION IF EXISTS _shard_open;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost FUNCTION _shard_open ()
    RETURNS TINYINT
    NOT DETERMINISTIC
    READS SQL DATA
    SQL SECURITY DEFINER
    COMMENT 'v1: is this the operator, of a refused shard'
BEGIN
    RETURN COALESCE(SUBSTRING_INDEX(USER(), '@', 1) = 'doushard_admin'
                    AND (SELECT COUNT(ss.refused_at)
                           FROM shard_self AS ss) = 1, 0);
END$$

DELIMITER ;
