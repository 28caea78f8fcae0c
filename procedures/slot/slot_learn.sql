-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- slot_learn: tell this shard where slots are.
--
-- in_entries  array of 1 to 2048 objects, at most 262144 bytes, each with
--               slot    unsigned integer
--               epoch   unsigned integer, 1 or more
--               server  name of the shard that has the slot at that epoch
--
-- Entries that are not newer than what is known change nothing. If one is newer than the
-- fence of the slot on this shard, then this shard is out of date (an old primary, a backup
-- that was restored) and stops serving the slot: the fence is locked for that, so that it
-- happens after every write that passed it.
--
-- Answer  : learned (how many entries were news)
-- Touches : SELECT, UPDATE slot_fence (by slot); SELECT, INSERT, UPDATE slot_known (by slot);
--           slot_gen
-- Errors  : 45400 no such array, or an entry in it is malformed
-- Replays : changes nothing more

DROP PROCEDURE IF EXISTS slot_learn;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE slot_learn (
    IN in_entries JSON
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: learn where slots are'
BEGIN
    DECLARE v_n       INT;
    DECLARE v_slot    INT UNSIGNED;
    DECLARE v_epoch   BIGINT UNSIGNED;
    DECLARE v_server  VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin;
    DECLARE v_learned INT DEFAULT 0;
    DECLARE v_done    BOOLEAN DEFAULT FALSE;

    DECLARE c_entry CURSOR FOR
        SELECT j.slot,
               j.epoch,
               j.server
          FROM JSON_TABLE(in_entries, '$[*]' COLUMNS (
                   slot   INT UNSIGNED PATH '$.slot',
                   epoch  BIGINT UNSIGNED PATH '$.epoch',
                   server VARCHAR(32) PATH '$.server'
               )) AS j
          LEFT JOIN slot_known AS k FORCE INDEX (PRIMARY)
            ON k.slot = j.slot
          LEFT JOIN slot_fence AS f FORCE INDEX (PRIMARY)
            ON f.slot = j.slot
         WHERE j.epoch > COALESCE(k.epoch, 0)
            OR j.epoch > GREATEST(f.epoch, f.heard_epoch)
         ORDER BY j.slot,
                  j.epoch;

    DECLARE CONTINUE HANDLER FOR NOT FOUND SET v_done = TRUE;
    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    IF NOT COALESCE(LENGTH(in_entries) <= 262144
                    AND JSON_TYPE(in_entries) = 'ARRAY'
                    AND JSON_LENGTH(in_entries) BETWEEN 1 AND 2048, FALSE) THEN
        SIGNAL SQLSTATE '45400'
           SET MESSAGE_TEXT = 'in_entries needs 1 to 2048 entries, at most 262144 bytes';
    END IF;

    SELECT MIN(j.n)
      INTO v_n
      FROM JSON_TABLE(in_entries, '$[*]' COLUMNS (
               n      FOR ORDINALITY,
               slot   VARCHAR(24) PATH '$.slot',
               epoch  VARCHAR(24) PATH '$.epoch',
               server VARCHAR(33) PATH '$.server'
           )) AS j
     WHERE NOT COALESCE(CAST(CAST(j.slot AS UNSIGNED) AS CHAR) = j.slot
                        AND CAST(j.slot AS UNSIGNED) <= 4294967295
                        AND CAST(CAST(j.epoch AS UNSIGNED) AS CHAR) = j.epoch
                        AND CAST(j.epoch AS UNSIGNED) > 0
                        AND j.server REGEXP '^[A-Za-z0-9][A-Za-z0-9_.-]{0,31}$', FALSE);

    CALL _op_refuse(v_n, 'slot, epoch and server');

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    OPEN c_entry;
    entry_loop: LOOP
        FETCH c_entry INTO v_slot, v_epoch, v_server;
        IF v_done THEN
            LEAVE entry_loop;
        END IF;

        UPDATE slot_fence AS f
           SET f.heard_epoch = v_epoch
         WHERE f.slot = v_slot
           AND f.heard_epoch < v_epoch;

        INSERT INTO slot_known (slot, epoch, server)
        VALUES (v_slot, v_epoch, v_server)
            ON DUPLICATE KEY UPDATE
               server = IF(VALUES(epoch) > slot_known.epoch, VALUES(server), slot_known.server),
               epoch  = GREATEST(slot_known.epoch, VALUES(epoch));

        SET v_learned = v_learned + 1;
    END LOOP;
    CLOSE c_entry;

    IF v_learned > 0 THEN
        CALL _slot_changed();
    END IF;

    COMMIT;

    SELECT v_learned AS learned;
END$$

DELIMITER ;
