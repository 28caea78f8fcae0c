-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _load_per_min: the rate that a decaying sum stands for.
--
-- in_sum    as it was written
-- in_at     ms since the Unix epoch, when that was
-- in_since  when counting began, so that a young sum is not taken for a low rate
-- in_now    now
--
-- Answer  : per minute, rounded
-- Touches : nothing
-- Errors  : none
-- Replays : -

DROP FUNCTION IF EXISTS _load_per_min;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost FUNCTION _load_per_min (
    in_sum   DOUBLE,
    in_at    BIGINT,
    in_since BIGINT,
    in_now   BIGINT
)
    RETURNS BIGINT UNSIGNED
    DETERMINISTIC
    NO SQL
    SQL SECURITY DEFINER
    COMMENT 'v1: rate that a decaying sum tells of'
BEGIN
    -- A steady rate has a sum of rate * 600 s / LN(2), less what is not yet in it.
    RETURN ROUND(in_sum * _load_decay(in_now - in_at) * LN(2) / 10
                 / (1 - _load_decay(GREATEST(in_now - in_since, 10000))));
END$$

DELIMITER ;
