-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- load_add: a server reports the load of slots and owners here since its last report.
--
-- in_slots   array of 1 to 2048 objects, at most 262144 bytes, each with
--              slot        unsigned integer
--              operations  unsigned integer, below 2^53
--              busy_us     unsigned integer, likewise: the time that their CALLs took
-- in_owners  array of at most 512 objects, at most 262144 bytes, each with slot, owner (id of
--            a user or video), operations and busy_us; those that cost this server most
--
-- Slots that are not here are ignored. Of owners the 1000 that cost most are kept, at the next
-- report.
--
-- Answer  : slots, owners (rows that there are now)
-- Touches : SELECT slot_fence (by slot, without locks); INSERT, UPDATE, DELETE slot_load (by
--           slot), owner_load (by slot and owner)
-- Errors  : 45400 no such arrays, or an entry in them is malformed
-- Replays : counts twice

DROP PROCEDURE IF EXISTS load_add;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE load_add (
    IN in_slots  JSON,
    IN in_owners JSON
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: what slots and owners have cost'
BEGIN
    DECLARE v_now    BIGINT DEFAULT _now_ms();
    DECLARE v_n      INT;
    DECLARE v_slots  BIGINT;
    DECLARE v_owners BIGINT;
    DECLARE v_excess BIGINT;

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    IF NOT COALESCE(LENGTH(in_slots) <= 262144
                    AND LENGTH(in_owners) <= 262144
                    AND JSON_TYPE(in_slots) = 'ARRAY'
                    AND JSON_TYPE(in_owners) = 'ARRAY'
                    AND JSON_LENGTH(in_slots) BETWEEN 1 AND 2048
                    AND JSON_LENGTH(in_owners) <= 512, FALSE) THEN
        SIGNAL SQLSTATE '45400'
           SET MESSAGE_TEXT = 'load_add needs 1 to 2048 slots and at most 512 owners';
    END IF;

    SELECT MIN(j.n)
      INTO v_n
      FROM JSON_TABLE(in_slots, '$[*]' COLUMNS (
               n          FOR ORDINALITY,
               slot       VARCHAR(24) PATH '$.slot',
               operations VARCHAR(24) PATH '$.operations',
               busy_us    VARCHAR(24) PATH '$.busy_us'
           )) AS j
     WHERE NOT COALESCE(CAST(CAST(j.slot AS UNSIGNED) AS CHAR) = j.slot
                        AND CAST(j.slot AS UNSIGNED) <= 4294967295
                        AND CAST(CAST(j.operations AS UNSIGNED) AS CHAR) = j.operations
                        AND CAST(j.operations AS UNSIGNED) <= 9007199254740991
                        AND CAST(CAST(j.busy_us AS UNSIGNED) AS CHAR) = j.busy_us
                        AND CAST(j.busy_us AS UNSIGNED) <= 9007199254740991, FALSE);

    CALL _op_refuse(v_n, 'slot, operations and busy_us');

    SELECT MIN(j.n)
      INTO v_n
      FROM JSON_TABLE(in_owners, '$[*]' COLUMNS (
               n          FOR ORDINALITY,
               slot       VARCHAR(24) PATH '$.slot',
               owner      VARCHAR(24) PATH '$.owner',
               operations VARCHAR(24) PATH '$.operations',
               busy_us    VARCHAR(24) PATH '$.busy_us'
           )) AS j
     WHERE NOT COALESCE(CAST(CAST(j.slot AS UNSIGNED) AS CHAR) = j.slot
                        AND CAST(j.slot AS UNSIGNED) <= 4294967295
                        AND CAST(CAST(j.owner AS UNSIGNED) AS CHAR) = j.owner
                        AND CAST(j.owner AS UNSIGNED) BETWEEN 1 AND 9007199254740991
                        AND CAST(CAST(j.operations AS UNSIGNED) AS CHAR) = j.operations
                        AND CAST(j.operations AS UNSIGNED) <= 9007199254740991
                        AND CAST(CAST(j.busy_us AS UNSIGNED) AS CHAR) = j.busy_us
                        AND CAST(j.busy_us AS UNSIGNED) <= 9007199254740991, FALSE);

    CALL _op_refuse(v_n, 'slot, owner, operations and busy_us');

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    -- Removal reads and locks every row: so it comes first, and rarely, and like everything below
    -- in the order of the keys, so that servers do not deadlock.
    SELECT COUNT(*)
      INTO v_slots
      FROM slot_load AS w
     WHERE w.at < v_now - 86400000
       AND w.measured_at < v_now - 86400000;

    IF v_slots > 0 THEN
        -- Slots that left, or that had no operation in a day and were not measured.
        DELETE FROM slot_load
         WHERE slot_load.at < v_now - 86400000
           AND slot_load.measured_at < v_now - 86400000;
    END IF;

    INSERT INTO slot_load (slot, since, at, operations, busy_us)
    SELECT j.slot,
           v_now - 10000,
           v_now,
           SUM(j.operations),
           SUM(j.busy_us)
      FROM JSON_TABLE(in_slots, '$[*]' COLUMNS (
               slot       INT UNSIGNED PATH '$.slot',
               operations BIGINT UNSIGNED PATH '$.operations',
               busy_us    BIGINT UNSIGNED PATH '$.busy_us'
           )) AS j
     STRAIGHT_JOIN slot_fence AS f FORCE INDEX (PRIMARY)
        ON f.slot = j.slot
       AND f.state IN ('owned', 'migrating')
     GROUP BY j.slot
     ORDER BY j.slot
        ON DUPLICATE KEY UPDATE
           operations = slot_load.operations * _load_decay(v_now - slot_load.at)
                        + VALUES(operations),
           busy_us    = slot_load.busy_us * _load_decay(v_now - slot_load.at)
                        + VALUES(busy_us),
           since      = IF(slot_load.since = 0, VALUES(since), slot_load.since),
           at         = v_now;

    SELECT COUNT(*)
      INTO v_owners
      FROM owner_load AS w;

    SET v_excess = GREATEST(v_owners - 1000, 0);

    IF v_excess > 0 THEN
        DELETE FROM owner_load
         ORDER BY owner_load.busy_us * _load_decay(v_now - owner_load.at)
         LIMIT v_excess;
    END IF;

    INSERT INTO owner_load (slot, owner_id, since, at, operations, busy_us)
    SELECT j.slot,
           j.owner,
           v_now - 10000,
           v_now,
           SUM(j.operations),
           SUM(j.busy_us)
      FROM JSON_TABLE(in_owners, '$[*]' COLUMNS (
               slot       INT UNSIGNED PATH '$.slot',
               owner      BIGINT UNSIGNED PATH '$.owner',
               operations BIGINT UNSIGNED PATH '$.operations',
               busy_us    BIGINT UNSIGNED PATH '$.busy_us'
           )) AS j
     STRAIGHT_JOIN slot_fence AS f FORCE INDEX (PRIMARY)
        ON f.slot = j.slot
       AND f.state IN ('owned', 'migrating')
     GROUP BY j.slot,
              j.owner
     ORDER BY j.slot,
              j.owner
        ON DUPLICATE KEY UPDATE
           operations = owner_load.operations * _load_decay(v_now - owner_load.at)
                        + VALUES(operations),
           busy_us    = owner_load.busy_us * _load_decay(v_now - owner_load.at)
                        + VALUES(busy_us),
           at         = v_now;

    SELECT COUNT(*)
      INTO v_owners
      FROM owner_load AS w;

    SELECT COUNT(*)
      INTO v_slots
      FROM slot_load AS w;

    COMMIT;

    SELECT v_slots AS slots,
           v_owners AS owners;
END$$

DELIMITER ;
