-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- shard_probe: does a write work here?
--
-- Servers call it while they keep writes away from a shard that said it cannot take any (read
-- only, a full disk): one row is changed and committed, as any write would be.
--
-- Answer  : probed_at
-- Touches : INSERT, UPDATE shard_health
-- Errors  : none of its own: those of a server that cannot write
-- Replays : changes the time again

DROP PROCEDURE IF EXISTS shard_probe;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE shard_probe ()
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: does a write work here'
BEGIN
    DECLARE v_now BIGINT DEFAULT _now_ms();

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    -- A row that keeps its value is not written, so a counter changes at every call.
    INSERT INTO shard_health (one, probes, probed_at)
    VALUES (1, 1, v_now)
        ON DUPLICATE KEY UPDATE
           probes    = shard_health.probes + 1,
           probed_at = v_now;

    COMMIT;

    SELECT v_now AS probed_at;
END$$

DELIMITER ;
