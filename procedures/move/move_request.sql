-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- move_request: ask for a slot to be moved to another shard; on the shard that has it.
--
-- in_slot     the slot
-- in_taker    name of the shard that is to have it
-- in_keep_ms  so long after the flip it can be rolled back, 0 to a week; NULL: an hour
--
-- This only writes the request: a mover (shardctl mover) claims it, soon or when it runs again,
-- and move_status says how far it is. All can be seen and asked for by SQL alone: move_wish
-- pauses, cancels, finishes or rolls back.
--
-- Answer  : move_id, slot, giver, taker, phase
-- Touches : SELECT shard_self; SELECT slot_fence (by slot, LOCK IN SHARE MODE); INSERT slot_move
-- Errors  : 45400 an argument is malformed   45503 this shard does not serve the slot, it is the
--           taker, or a move of the slot is under way (its number is said)
-- Replays : the second one finds the first under way

DROP PROCEDURE IF EXISTS move_request;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE move_request (
    IN in_slot    INT UNSIGNED,
    IN in_taker   VARCHAR(64),
    IN in_keep_ms BIGINT
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: ask for a slot to be moved'
BEGIN
    DECLARE v_self  VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin;
    DECLARE v_is    TINYINT;
    DECLARE v_kept  TINYINT;
    DECLARE v_other BIGINT UNSIGNED;
    DECLARE v_id    BIGINT UNSIGNED;
    DECLARE v_text  VARCHAR(160);

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    IF NOT COALESCE(in_slot IS NOT NULL
                    AND in_taker REGEXP '^[A-Za-z0-9][A-Za-z0-9_.-]{0,31}$'
                    AND COALESCE(in_keep_ms, 0) BETWEEN 0 AND 604800000, FALSE) THEN
        SIGNAL SQLSTATE '45400'
           SET MESSAGE_TEXT = 'move_request needs a slot, a shard and at most 604800000 ms';
    END IF;

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    SELECT MAX(ss.name)
      INTO v_self
      FROM shard_self AS ss;

    SELECT MAX(f.answer = 'ok'),
           MAX(f.journal = 1 OR f.state = 'migrating')
      INTO v_is,
           v_kept
      FROM slot_fence AS f
     WHERE f.slot = in_slot
      LOCK IN SHARE MODE;

    SET v_other = _move_busy(in_slot);

    SET v_text = CASE WHEN NOT COALESCE(v_is, 0)
                      THEN CONCAT('slot ', in_slot, ' is not served by this shard: ask the one '
                                  'that slot_where or shardctl where names')
                      WHEN v_self = in_taker
                      THEN CONCAT('slot ', in_slot, ' is on ', in_taker, ' already')
                      WHEN v_other IS NOT NULL
                      THEN CONCAT('slot ', in_slot, ' is being moved already: move ', v_other)
                      WHEN v_kept
                      THEN CONCAT('slot ', in_slot, ' has just come and can still be rolled back: '
                                  'finish that move first')
                 END;
    IF v_text IS NOT NULL THEN
        SIGNAL SQLSTATE '45503' SET MESSAGE_TEXT = v_text;
    END IF;

    INSERT INTO slot_move (slot, giver, taker, keep_ms, requested_at, requested_by)
    VALUES (in_slot, v_self, in_taker, COALESCE(in_keep_ms, 3600000), _now_ms(), USER());

    SET v_id = LAST_INSERT_ID();

    COMMIT;

    SELECT v_id AS move_id,
           in_slot AS slot,
           v_self AS giver,
           in_taker AS taker,
           'queued' AS phase;
END$$

DELIMITER ;
