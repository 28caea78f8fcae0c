-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _load_decay: the factor by which a decaying sum has shrunk.
--
-- in_ms  so long ago it was written
--
-- It halves every ten minutes.
--
-- Touches : nothing
-- Errors  : none
-- Replays : -

DROP FUNCTION IF EXISTS _load_decay;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost FUNCTION _load_decay (
    in_ms BIGINT
)
    RETURNS DOUBLE
    DETERMINISTIC
    NO SQL
    SQL SECURITY DEFINER
    COMMENT 'v1: what is left of a decaying sum'
BEGIN
    RETURN EXP(-LN(2) * GREATEST(in_ms, 0) / 600000);
END$$

DELIMITER ;
