-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- media_lease_take: take or keep the lease of the search for files that no row names.
--
-- in_holder  name of the process, 1 to 64 ASCII characters, another one after each start
-- in_ms      how long it is to hold, 1 to 600000; 0 gives it back
--
-- There is one for all servers, on the shard that has slot 0. It does not move with that slot: the
-- shard that gets the slot gives a new lease, and this one prolongs none. Two holders at a time do
-- no harm: they only remove what the other would have removed.
--
-- Answer  : got (1: it is ours; 0: another has it, it was given back, or this shard does not
--           serve slot 0)
-- Touches : SELECT slot_fence (by slot); INSERT, UPDATE relay_lease (by name)
-- Errors  : 45400 an argument is NULL or out of range
-- Replays : prolongs the lease

DROP PROCEDURE IF EXISTS media_lease_take;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE media_lease_take (
    IN in_holder VARCHAR(64),
    IN in_ms     BIGINT
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: take the lease of who looks for files without rows'
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
        SIGNAL SQLSTATE '45400' SET MESSAGE_TEXT = 'media_lease_take needs holder, ms 0 to 600000';
    END IF;

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    -- Assigned from left to right: until_at already sees the new holder.
    INSERT INTO relay_lease (name, holder, until_at)
    VALUES ('media', in_holder, v_now + in_ms)
        ON DUPLICATE KEY UPDATE holder   = IF(until_at <= v_now, VALUES(holder), holder),
                                until_at = IF(holder = VALUES(holder), VALUES(until_at), until_at);

    SELECT COUNT(*)
      INTO v_got
      FROM relay_lease AS rl
     STRAIGHT_JOIN slot_fence AS f FORCE INDEX (PRIMARY)
        ON f.slot = 0
       AND f.answer = 'ok'
     WHERE rl.name = 'media'
       AND rl.holder = in_holder
       AND rl.until_at > v_now;

    COMMIT;

    SELECT v_got AS got;
END$$

DELIMITER ;
