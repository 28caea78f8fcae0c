-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _now_ms: the clock of every routine: ms since the Unix epoch.
--
-- Independent of the session's time zone; follows SET timestamp, which tests use. Inside a
-- procedure it moves on from statement to statement.
--
-- Touches : nothing
-- Errors  : none
-- Replays : reads only

DROP FUNCTION IF EXISTS _now_ms;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost FUNCTION _now_ms ()
    RETURNS BIGINT
    NOT DETERMINISTIC
    NO SQL
    SQL SECURITY DEFINER
    COMMENT 'v1: ms since the Unix epoch'
BEGIN
    RETURN TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(3)) DIV 1000;
END$$

DELIMITER ;
