-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- slot_takeover: the last step of a flip, on the shard that takes the slot: ready becomes owned.
--
-- in_slot      the slot
-- in_to_epoch  the epoch that the flip leads to, 1 to 1048575
-- in_token     what the fence of the giver holds as token: 32 hexadecimal digits
--
-- A flip commits MOVED on the giver first, with the epoch and the token of the ready fence
-- here; from that COMMIT on the slot is this shard's, and only this CALL is missing. Whoever
-- has read that fence may make it: the mover, and every router when the mover is gone
-- (slot_map tells them). A ready fence of another attempt has another epoch or another
-- token, and stays as it is. The token stays in the fence, and so does journal.
--
-- Whoever reads the giver's fence from outside the flip makes sure first that it is durable
-- (CALL shard_probe() there): a COMMIT may be seen before it is on disk.
--
-- code is ok when the slot is owned now and was not, same when this shard has it already at
-- that epoch or a higher one, and refused otherwise; epoch and server are what the fence says
-- then: 0 and an empty text when there is none.
--
-- Answer  : code, epoch, server
-- Touches : SELECT shard_self; SELECT, UPDATE slot_fence (by slot); SELECT owner_home (by
--           slot); SELECT, INSERT, UPDATE slot_known (by slot); slot_gen
-- Errors  : 45400 an argument is NULL or malformed
-- Replays : same, and changes nothing

DROP PROCEDURE IF EXISTS slot_takeover;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE slot_takeover (
    IN in_slot     INT UNSIGNED,
    IN in_to_epoch BIGINT UNSIGNED,
    IN in_token    VARCHAR(64)
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: finish the flip of a slot'
BEGIN
    DECLARE v_self   VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin;
    DECLARE v_epoch  BIGINT UNSIGNED;
    DECLARE v_server VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin;
    DECLARE v_code   VARCHAR(8);

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    IF NOT COALESCE(in_slot IS NOT NULL
                    AND in_to_epoch BETWEEN 1 AND 1048575
                    AND in_token REGEXP '^[0-9A-Fa-f]{32}$', FALSE) THEN
        SIGNAL SQLSTATE '45400'
           SET MESSAGE_TEXT = 'slot_takeover needs a slot, an epoch and 32 hexadecimal digits';
    END IF;

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    SELECT MAX(ss.name)
      INTO v_self
      FROM shard_self AS ss;

    SELECT MAX(f.epoch),
           MAX(f.server),
           COALESCE(MAX(CASE WHEN f.state IN ('owned', 'migrating')
                              AND f.epoch >= in_to_epoch
                             THEN 'same'
                             WHEN f.state = 'ready'
                              AND f.epoch = in_to_epoch
                              AND f.token = UNHEX(in_token)
                              AND f.server = v_self
                              AND f.heard_epoch <= f.epoch
                             THEN 'ok'
                        END), 'refused')
      INTO v_epoch,
           v_server,
           v_code
      FROM slot_fence AS f
     WHERE f.slot = in_slot
       FOR UPDATE;

    IF v_code = 'ok' THEN
        UPDATE slot_fence AS f
           SET f.state      = 'owned',
               f.has_home   = EXISTS (SELECT 1
                                        FROM owner_home AS h
                                       WHERE h.slot = in_slot),
               f.changed_at = _now_ms()
         WHERE f.slot = in_slot;

        CALL _slot_changed();

        INSERT INTO slot_known (slot, epoch, server)
        VALUES (in_slot, v_epoch, v_server)
            ON DUPLICATE KEY UPDATE
               server = IF(VALUES(epoch) >= slot_known.epoch, VALUES(server), slot_known.server),
               epoch  = GREATEST(slot_known.epoch, VALUES(epoch));
    END IF;

    COMMIT;

    SELECT v_code AS code,
           COALESCE(v_epoch, 0) AS epoch,
           COALESCE(v_server, '') AS server;
END$$

DELIMITER ;
