-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- demote_request: request that a user with a slot of his own comes back to the slot of his id, on
-- the shard that has both.
--
-- in_user_id  the user
--
-- If his own slot is on another shard than the slot of his id, it is moved there first
-- (move_request). This only writes the request: see promote_request. move_wish pauses or cancels
-- it, with his own slot.
--
-- Answer  : move_id, slot (his own), giver, taker, phase
-- Touches : SELECT shard_self, owner_home (by slot and owner); SELECT slot_fence (by slot, FOR
--           UPDATE); SELECT, INSERT slot_move
-- Errors  : 45400 no user   45503 he has no slot of his own, this shard does not serve both, or a
--           move of one of them is under way
-- Replays : the second one finds the first under way

DROP PROCEDURE IF EXISTS demote_request;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE demote_request (
    IN in_user_id BIGINT UNSIGNED
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: ask for a user to come back from his own slot'
BEGIN
    DECLARE v_slot  INT UNSIGNED DEFAULT (in_user_id DIV 8) MOD 1024;
    DECLARE v_self  VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin;
    DECLARE v_home  INT UNSIGNED;
    DECLARE v_is    TINYINT;
    DECLARE v_own   TINYINT;
    DECLARE v_kept  TINYINT;
    DECLARE v_other BIGINT UNSIGNED;
    DECLARE v_id    BIGINT UNSIGNED;
    DECLARE v_text  VARCHAR(160);

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    IF NOT COALESCE(in_user_id BETWEEN 1 AND 9007199254740991, FALSE) THEN
        SIGNAL SQLSTATE '45400' SET MESSAGE_TEXT = 'demote_request needs the id of a user';
    END IF;

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    SELECT MAX(ss.name)
      INTO v_self
      FROM shard_self AS ss;

    SELECT MAX(h.own_slot)
      INTO v_home
      FROM owner_home AS h
     WHERE h.slot = v_slot
       AND h.owner_id = in_user_id;

    SELECT MAX(f.slot = v_slot AND f.answer = 'ok'),
           MAX(f.slot = v_home AND f.answer = 'ok'),
           MAX(f.journal = 1 OR f.state = 'migrating')
      INTO v_is,
           v_own,
           v_kept
      FROM slot_fence AS f
     WHERE f.slot IN (v_slot, v_home)
       FOR UPDATE;

    SET v_other = COALESCE(_move_busy(v_slot), _move_busy(v_home));

    SET v_text = CASE WHEN NOT COALESCE(v_is, 0)
                      THEN CONCAT('slot ', v_slot, ' is not served by this shard: ask the one '
                                  'that slot_where or shardctl where names')
                      WHEN v_home IS NULL
                      THEN CONCAT('user ', in_user_id, ' has no slot of his own')
                      WHEN NOT COALESCE(v_own, 0)
                      THEN CONCAT('slot ', v_home, ' is on another shard: move it to ', v_self,
                                  ' first')
                      WHEN v_other IS NOT NULL
                      THEN CONCAT('slot ', v_slot, ' or ', v_home, ' takes part in a move already: '
                                  'move ', v_other)
                      WHEN v_kept
                      THEN CONCAT('slot ', v_slot, ' or ', v_home, ' has just come and can still '
                                  'be rolled back: finish that move first')
                 END;
    IF v_text IS NOT NULL THEN
        SIGNAL SQLSTATE '45503' SET MESSAGE_TEXT = v_text;
    END IF;

    INSERT INTO slot_move (slot, kind, giver, taker, owner_id, own_slot, keep_ms, requested_at,
                           requested_by)
    VALUES (v_home, 'demote', v_self, v_self, in_user_id, v_home, 0, _now_ms(), USER());

    SET v_id = LAST_INSERT_ID();

    COMMIT;

    SELECT v_id AS move_id,
           v_home AS slot,
           v_self AS giver,
           v_self AS taker,
           'queued' AS phase;
END$$

DELIMITER ;
