-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _promote_check: may this mover write rows of an owner who gets a slot of his own, or comes back?
-- If so, that holds until the end of the transaction.
--
-- in_move_id  the promotion or demotion
-- in_token    of the mover, 32 hex digits
-- in_is_over  0: before the flip; 1: after it
-- out_slot    slot that gets his rows (before), or had them (after)
-- out_owner   the owner
--
-- Before the flip the slot that he leaves is migrating, with the token, or the move was called off
-- and the copy is being removed. Both slots are here, so one fence guards both.
--
-- Touches : SELECT slot_fence (by slot, LOCK IN SHARE MODE), slot_move (by move_id, FOR UPDATE)
-- Errors  : 45409 another mover has taken over, or the slot is not as it should be
-- Replays : nothing stays

DROP PROCEDURE IF EXISTS _promote_check;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _promote_check (
    IN  in_move_id BIGINT UNSIGNED,
    IN  in_token   VARCHAR(32),
    IN  in_is_over TINYINT,
    OUT out_slot   INT UNSIGNED,
    OUT out_owner  BIGINT UNSIGNED
)
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v1: may this mover write rows of an owner'
BEGIN
    DECLARE v_shared INT UNSIGNED;
    DECLARE v_own    INT UNSIGNED;
    DECLARE v_from   INT UNSIGNED;
    DECLARE v_good   TINYINT;
    DECLARE v_mine   TINYINT;
    DECLARE v_undone TINYINT;

    SELECT MAX(m.slot),
           MAX((m.owner_id DIV 8) MOD 1024),
           MAX(m.own_slot),
           MAX(m.owner_id)
      INTO v_from,
           v_shared,
           v_own,
           out_owner
      FROM slot_move AS m
     WHERE m.move_id = in_move_id
       AND m.kind <> 'move';

    SELECT MAX(f.slot = v_from AND f.token = UNHEX(in_token) AND f.state = 'migrating')
      INTO v_good
      FROM slot_fence AS f
     WHERE f.slot IN (v_shared, v_own)
      LOCK IN SHARE MODE;

    -- An exclusive lock, because some callers write the row: after a shared lock they and a waiting
    -- operator's wish would deadlock.
    SELECT MAX(m.token = UNHEX(in_token) AND (m.flipped_at IS NOT NULL) = in_is_over),
           MAX(m.phase = 'undoing')
      INTO v_mine,
           v_undone
      FROM slot_move AS m
     WHERE m.move_id = in_move_id
       AND m.active IS NOT NULL
       FOR UPDATE;

    IF NOT COALESCE(v_mine AND (v_good OR v_undone OR in_is_over), 0) THEN
        SIGNAL SQLSTATE '45409' SET MESSAGE_TEXT = 'fenced out: another mover has taken the move';
    END IF;

    SET out_slot = IF((v_from = v_own) = in_is_over, v_own, v_shared);
END$$

DELIMITER ;
