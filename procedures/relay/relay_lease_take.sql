-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- relay_lease_take: take or keep the lease of this shard's relay.
--
-- in_holder  name of the process, 1 to 64 ASCII characters, another one after each start
-- in_ms      how long it is to hold, 1 to 600000; 0 gives it back
--
-- The holder delivers what is left in the outbox. Two that believe they have it do no harm:
-- everything that they call may be called twice.
--
-- Answer  : got (1: it is ours; 0: another has it, or it was given back)
-- Touches : INSERT, UPDATE relay_lease (by name)
-- Errors  : 45400 an argument is NULL or out of range
-- Replays : prolongs the lease

DROP PROCEDURE IF EXISTS relay_lease_take;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE relay_lease_take (
    IN in_holder VARCHAR(64),
    IN in_ms     BIGINT
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: take the lease of the relay'
BEGIN
    DECLARE v_now BIGINT DEFAULT _now_ms();
    DECLARE v_got INT;

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    IF NOT COALESCE(LENGTH(in_holder) BETWEEN 1 AND 64
                    AND LENGTH(in_holder) = CHAR_LENGTH(in_holder)
                    AND in_ms BETWEEN 0 AND 600000, FALSE) THEN
        SIGNAL SQLSTATE '45400' SET MESSAGE_TEXT = 'relay_lease_take needs holder, ms 0 to 600000';
    END IF;

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    -- Assigned from left to right: until_at already sees the new holder.
    INSERT INTO relay_lease (name, holder, until_at)
    VALUES ('relay', in_holder, v_now + in_ms)
        ON DUPLICATE KEY UPDATE holder   = IF(until_at <= v_now, VALUES(holder), holder),
                                until_at = IF(holder = VALUES(holder), VALUES(until_at), until_at);

    SELECT COUNT(*)
      INTO v_got
      FROM relay_lease AS rl
     WHERE rl.name = 'relay'
       AND rl.holder = in_holder
       AND rl.until_at > v_now;

    COMMIT;

    SELECT v_got AS got;
END$$

DELIMITER ;
