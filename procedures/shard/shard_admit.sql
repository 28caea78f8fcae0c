-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- shard_admit: serve again, after old data has been compared with the other shards.
--
-- in_server  name of this shard, so that a CALL in the wrong place is refused
--
-- The last step of shardctl verify. The shard's counter goes on above everything that others
-- remember of it. A shard paused by an operator stays paused. An importing fence, of a slot whose
-- rows are not here, goes on refusing that slot (see slot_adopt).
--
-- Answer  : server, refused_ms (how long it was refused; 0: it was not)
-- Touches : SELECT, UPDATE shard_self; SELECT shard_known; INSERT, UPDATE shard_beat; UPDATE
--           slot_fence (all rows), slot_gen
-- Errors  : 45400 no name   45503 this is another shard, or shard_restored has not raised its
--           epochs
-- Replays : changes nothing

DROP PROCEDURE IF EXISTS shard_admit;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE shard_admit (
    IN in_server VARCHAR(64)
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: serve again what was refused'
BEGIN
    DECLARE v_name       VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin;
    DECLARE v_refused_at BIGINT;
    DECLARE v_settled_at BIGINT;
    DECLARE v_now        BIGINT DEFAULT _now_ms();
    DECLARE v_text       VARCHAR(128);

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    IF NOT COALESCE(in_server REGEXP '^[A-Za-z0-9][A-Za-z0-9_.-]{0,31}$', FALSE) THEN
        SIGNAL SQLSTATE '45400' SET MESSAGE_TEXT = 'shard_admit needs the name of the shard';
    END IF;

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    SELECT MAX(ss.name),
           MAX(ss.refused_at),
           MAX(ss.settled_at)
      INTO v_name,
           v_refused_at,
           v_settled_at
      FROM shard_self AS ss
       FOR UPDATE;

    SET v_text = CASE WHEN v_name IS NULL OR v_name <> in_server
                      THEN CONCAT('this shard is ', COALESCE(v_name, 'not named'))
                      WHEN v_refused_at IS NOT NULL AND v_settled_at IS NULL
                      THEN 'its epochs are not raised: scripts/restore-shard.sh first'
                 END;
    IF v_text IS NOT NULL THEN
        SIGNAL SQLSTATE '45503' SET MESSAGE_TEXT = v_text;
    END IF;

    IF v_refused_at IS NOT NULL THEN
        INSERT INTO shard_beat (one, beat, beat_at)
        VALUES (1, v_now, v_now)
            ON DUPLICATE KEY UPDATE
               beat    = GREATEST(shard_beat.beat + 1, v_now),
               beat_at = v_now;

        UPDATE shard_beat AS sb
         STRAIGHT_JOIN shard_known AS k
            ON k.name = v_name
           SET sb.beat = GREATEST(sb.beat, k.beat + 1);

        UPDATE shard_self AS ss
           SET ss.paused_by   = IF(ss.paused_at = ss.refused_at, '', ss.paused_by),
               ss.paused_why  = IF(ss.paused_at = ss.refused_at, '', ss.paused_why),
               ss.paused_at   = IF(ss.paused_at = ss.refused_at, NULL, ss.paused_at),
               ss.refused_at  = NULL,
               ss.refused_why = '',
               ss.settled_at  = NULL;

        UPDATE slot_fence AS f
           SET f.paused = (SELECT COUNT(ss.paused_at)
                             FROM shard_self AS ss)
         ORDER BY f.slot;

        CALL _slot_changed();
    END IF;

    COMMIT;

    SELECT v_name AS server,
           COALESCE(GREATEST(v_now - v_refused_at, 1), 0) AS refused_ms;
END$$

DELIMITER ;
