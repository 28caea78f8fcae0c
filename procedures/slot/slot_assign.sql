-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- slot_assign: the first assignment of a range of shared slots; run with the same
-- arguments on every shard.
--
-- in_first   first slot of the range, 0 to 1023
-- in_last    last slot of the range, in_first to 1023
-- in_server  shard that gets them, at epoch 1
--
-- Slots that have moved on since (this shard has a fence with a higher epoch, or has heard of
-- one) stay as they are; in particular none becomes owned here that another shard has.
--
-- Answer  : assigned, kept (how many slots)
-- Touches : SELECT shard_self (FOR UPDATE); SELECT, INSERT slot_fence, slot_known; INSERT
--           slot_seq (by slot); slot_gen
-- Errors  : 45400 an argument is NULL or out of range   45503 the shard has no name yet, or
--           a slot is assigned to another shard, or known to be another's at epoch 1
-- Replays : changes nothing

DROP PROCEDURE IF EXISTS slot_assign;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE slot_assign (
    IN in_first  INT,
    IN in_last   INT,
    IN in_server VARCHAR(64)
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v2 serves v1: assign shared slots for the first time'
BEGIN
    DECLARE v_self     VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin;
    DECLARE v_paused   INT;
    DECLARE v_slot     INT DEFAULT in_first;
    DECLARE v_epoch    BIGINT UNSIGNED;
    DECLARE v_server   VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin;
    DECLARE v_known    BIGINT UNSIGNED;
    DECLARE v_holder   VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin;
    DECLARE v_other    VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin;
    DECLARE v_assigned INT DEFAULT 0;
    DECLARE v_kept     INT DEFAULT 0;
    DECLARE v_text     VARCHAR(128);

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    IF NOT COALESCE(in_first BETWEEN 0 AND 1023
                    AND in_last BETWEEN in_first AND 1023
                    AND in_server REGEXP '^[A-Za-z0-9][A-Za-z0-9_.-]{0,31}$', FALSE) THEN
        SIGNAL SQLSTATE '45400'
           SET MESSAGE_TEXT = 'slot_assign needs slots 0 <= first <= last <= 1023 and a server';
    END IF;

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    -- One assignment at a time.
    SELECT MAX(ss.name),
           COUNT(ss.paused_at)
      INTO v_self,
           v_paused
      FROM shard_self AS ss
       FOR UPDATE;

    IF v_self IS NULL THEN
        SIGNAL SQLSTATE '45503' SET MESSAGE_TEXT = 'this shard has no name yet: shard_init first';
    END IF;

    WHILE v_slot <= in_last DO
        SELECT MAX(f.epoch),
               MAX(f.server)
          INTO v_epoch,
               v_server
          FROM slot_fence AS f
         WHERE f.slot = v_slot
           FOR UPDATE;

        SELECT MAX(k.epoch),
               MAX(k.server)
          INTO v_known,
               v_holder
          FROM slot_known AS k
         WHERE k.slot = v_slot;

        SET v_other = CASE WHEN GREATEST(COALESCE(v_epoch, 1), COALESCE(v_known, 1)) > 1
                           THEN NULL
                           WHEN v_server <> in_server
                           THEN v_server
                           WHEN v_holder <> in_server
                           THEN v_holder
                      END;

        IF v_other IS NOT NULL THEN
            SET v_text = CONCAT('slot ', v_slot, ' is assigned to ', v_other);
            SIGNAL SQLSTATE '45503' SET MESSAGE_TEXT = v_text;
        END IF;

        IF v_epoch IS NULL AND COALESCE(v_known, 1) = 1 THEN
            INSERT INTO slot_fence (slot, epoch, state, server, paused, changed_at)
            VALUES (v_slot, 1, IF(in_server = v_self, 'owned', 'moved'), in_server, v_paused,
                    _now_ms());

            INSERT INTO slot_known (slot, epoch, server)
            VALUES (v_slot, 1, in_server)
                ON DUPLICATE KEY UPDATE
                   slot_known.slot = slot_known.slot;

            IF in_server = v_self THEN
                INSERT INTO slot_seq (slot, last)
                VALUES (v_slot, 0);
            END IF;

            SET v_assigned = v_assigned + 1;
        ELSE
            SET v_kept = v_kept + 1;
        END IF;

        SET v_slot = v_slot + 1;
    END WHILE;

    IF v_assigned > 0 THEN
        CALL _slot_changed();
    END IF;

    COMMIT;

    SELECT v_assigned AS assigned,
           v_kept AS kept;
END$$

DELIMITER ;
