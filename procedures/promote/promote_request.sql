-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- promote_request: request a slot of his own for a user, on the shard that has him.
--
-- in_user_id  the user
--
-- This only writes the request: a mover (shardctl mover) claims it, and move_status says how far
-- it is. move_wish pauses or cancels it, with the slot that he leaves. demote_request brings him
-- back.
--
-- Answer  : move_id, slot (which he leaves), giver, taker, phase
-- Touches : SELECT shard_self; SELECT slot_fence (by slot, FOR UPDATE); SELECT user (by slot and
--           user_id), owner_home (by slot and owner), slot_move; INSERT slot_move
-- Errors  : 45400 no user   45503 this shard does not serve him, he has a slot of his own, or a
--           move of his slot is under way
-- Replays : the second one finds the first under way

DROP PROCEDURE IF EXISTS promote_request;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE promote_request (
    IN in_user_id BIGINT UNSIGNED
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: ask for a user to get a slot of his own'
BEGIN
    DECLARE v_slot  INT UNSIGNED DEFAULT (in_user_id DIV 8) MOD 1024;
    DECLARE v_self  VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin;
    DECLARE v_is    TINYINT;
    DECLARE v_kept  TINYINT;
    DECLARE v_home  INT UNSIGNED;
    DECLARE v_other BIGINT UNSIGNED;
    DECLARE v_id    BIGINT UNSIGNED;
    DECLARE v_text  VARCHAR(160);

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    IF NOT COALESCE(in_user_id BETWEEN 1 AND 9007199254740991, FALSE) THEN
        SIGNAL SQLSTATE '45400' SET MESSAGE_TEXT = 'promote_request needs the id of a user';
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
     WHERE f.slot = v_slot
       FOR UPDATE;

    SELECT MAX(h.own_slot)
      INTO v_home
      FROM owner_home AS h
     WHERE h.slot = v_slot
       AND h.owner_id = in_user_id;

    SET v_other = _move_busy(v_slot);

    SET v_text = CASE WHEN NOT COALESCE(v_is, 0)
                      THEN CONCAT('slot ', v_slot, ' is not served by this shard: ask the one '
                                  'that slot_where or shardctl where names')
                      WHEN v_home IS NOT NULL
                      THEN CONCAT('user ', in_user_id, ' has slot ', v_home, ' of his own already')
                      WHEN v_other IS NOT NULL
                      THEN CONCAT('slot ', v_slot, ' takes part in a move already: move ', v_other)
                      WHEN v_kept
                      THEN CONCAT('slot ', v_slot, ' has just come and can still be rolled back: '
                                  'finish that move first')
                      WHEN NOT EXISTS (SELECT 1
                                         FROM user AS u
                                        WHERE u.slot = v_slot
                                          AND u.user_id = in_user_id
                                          AND u.state <> 'erased')
                      THEN CONCAT('there is no user ', in_user_id)
                 END;
    IF v_text IS NOT NULL THEN
        SIGNAL SQLSTATE '45503' SET MESSAGE_TEXT = v_text;
    END IF;

    INSERT INTO slot_move (slot, kind, giver, taker, owner_id, keep_ms, requested_at, requested_by)
    VALUES (v_slot, 'promote', v_self, v_self, in_user_id, 0, _now_ms(), USER());

    SET v_id = LAST_INSERT_ID();

    COMMIT;

    SELECT v_id AS move_id,
           v_slot AS slot,
           v_self AS giver,
           v_self AS taker,
           'queued' AS phase;
END$$

DELIMITER ;
