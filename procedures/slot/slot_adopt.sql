-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- slot_adopt: take a slot for this shard, with the rows that are here.
--
-- in_slot    the slot
-- in_server  name of this shard, so that a CALL in the wrong place is refused
--
-- When: a shard was restored from a backup that is older than a move of the slot to it
-- (shard_restored said lost), so that nobody serves the slot. The software cannot know which rows
-- should count: those that its former shard still has, if they are not purged yet (slot_stats
-- there; CALL this there); those of a backup of that shard, loaded there by hand; or none (CALL
-- this on the restored shard, whose slot is then empty). Rows of the slot on other shards are
-- neither merged nor removed. slot_settle is for a slot that two shards claim.
--
-- An own slot has no tables where its rows never were. Adopted there it is over (gone): its user is
-- lost, and shardctl verify of the shard that has the slot of his id removes what leads to it.
--
-- The fence here claims the slot at an epoch above everything that this shard has heard of it;
-- whoever else has claimed it stops, when the servers tell it, within 5 s.
--
-- Answer  : slot, epoch, server
-- Touches : SELECT shard_self, information_schema.partitions; SELECT slot_move (by slot); SELECT,
--           INSERT, UPDATE slot_fence (by slot), slot_known, slot_seq; SELECT owner_home (by slot);
--           slot_gen
-- Errors  : 45400 an argument is NULL or malformed   45503 this is another shard, it serves the
--           slot, there is no higher epoch, or its tables are being altered: try again
-- Replays : refused: it serves the slot

DROP PROCEDURE IF EXISTS slot_adopt;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE slot_adopt (
    IN in_slot   INT UNSIGNED,
    IN in_server VARCHAR(64)
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: take a slot with the rows that lie here'
BEGIN
    DECLARE v_self   VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin;
    DECLARE v_paused INT;
    DECLARE v_claims INT;
    DECLARE v_epoch  BIGINT UNSIGNED;
    DECLARE v_parts  INT DEFAULT 1;
    DECLARE v_known  INT DEFAULT 1;
    DECLARE v_text   VARCHAR(128);

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    IF NOT COALESCE(in_slot IS NOT NULL
                    AND in_server REGEXP '^[A-Za-z0-9][A-Za-z0-9_.-]{0,31}$', FALSE) THEN
        SIGNAL SQLSTATE '45400' SET MESSAGE_TEXT = 'slot_adopt needs a slot and a server';
    END IF;

    IF in_slot >= 1024 THEN
        -- MariaDB leaves a table out while any session alters it.
        SELECT COUNT(*),
               COALESCE(SUM(p.partition_name LIKE CONCAT('s', in_slot, '\_e%')), 0)
          INTO v_known,
               v_parts
          FROM information_schema.partitions AS p
         WHERE p.table_schema = DATABASE()
           AND p.table_name = 'user';
    END IF;

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    SELECT MAX(ss.name),
           COUNT(ss.paused_at)
      INTO v_self,
           v_paused
      FROM shard_self AS ss
       FOR UPDATE;

    SELECT COUNT(*)
      INTO v_claims
      FROM slot_fence AS f
     WHERE f.slot = in_slot
       AND f.state IN ('owned', 'migrating')
       AND f.heard_epoch <= f.epoch
       FOR UPDATE;

    SET v_epoch = _slot_epoch_next(in_slot);

    SET v_text = CASE WHEN v_self IS NULL OR v_self <> in_server
                      THEN CONCAT('this shard is ', COALESCE(v_self, 'not named'),
                                  ': adopt on the one that is to have the slot')
                      WHEN v_claims = 1
                      THEN CONCAT('this shard has slot ', in_slot)
                      WHEN v_known = 0
                      THEN 'the table user is being altered just now: try again'
                      WHEN v_epoch > 1048575
                      THEN CONCAT('slot ', in_slot, ' has no higher epoch')
                 END;
    IF v_text IS NOT NULL THEN
        SIGNAL SQLSTATE '45503' SET MESSAGE_TEXT = v_text;
    END IF;

    INSERT INTO slot_fence (slot, epoch, state, server, paused, changed_at)
    VALUES (in_slot, v_epoch, IF(v_parts = 0, 'gone', 'owned'), IF(v_parts = 0, '', in_server),
            v_paused, _now_ms())
        ON DUPLICATE KEY UPDATE
           epoch      = VALUES(epoch),
           state      = VALUES(state),
           server     = VALUES(server),
           token      = NULL,
           journal    = 0,
           changed_at = VALUES(changed_at);

    UPDATE slot_fence AS f
       SET f.has_home = EXISTS (SELECT 1
                                  FROM owner_home AS h
                                 WHERE h.slot = in_slot)
     WHERE f.slot = in_slot;

    CALL _slot_changed();

    INSERT INTO slot_known (slot, epoch, server)
    VALUES (in_slot, v_epoch, IF(v_parts = 0, '', in_server))
        ON DUPLICATE KEY UPDATE
           epoch  = VALUES(epoch),
           server = VALUES(server);

    IF in_slot < 1024 THEN
        INSERT INTO slot_seq (slot, last)
        VALUES (in_slot, (_now_ms() - 1735689600000) * 8)
            ON DUPLICATE KEY UPDATE
               last = GREATEST(slot_seq.last, VALUES(last));
    END IF;

    COMMIT;

    SELECT in_slot AS slot,
           v_epoch AS epoch,
           in_server AS server;
END$$

DELIMITER ;
