-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- move_lock: begin the flip: nobody writes the slot from now on until move_give or move_unlock on
-- the same connection; on the shard that gives it.
--
-- in_slot   the slot
-- in_token  of the mover
--
-- The transaction stays open: who waits for the fence wakes up with the news that the slot has
-- moved, or goes on if the connection ends. Callers end the connection when this waits for more
-- than some ms, since later writers wait behind it. move_rest says what is left to carry over. The
-- session can be named by its token in conn_kill from now on (move_stuck).
--
-- Answer  : seq_last, own_last (both of slot_seq), has_home
-- Touches : SELECT, UPDATE slot_fence (by slot, FOR UPDATE); SELECT slot_seq, slot_lost (by slot);
--           the lock of the token
-- Errors  : 45409 another mover has taken over   45503 the journal was not kept: begin anew
-- Replays : begins the transaction anew

DROP PROCEDURE IF EXISTS move_lock;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE move_lock (
    IN in_slot  INT UNSIGNED,
    IN in_token VARCHAR(32)
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: begin the flip'
BEGIN
    DECLARE v_good     TINYINT;
    DECLARE v_has_home TINYINT;

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    SELECT MAX(f.token = UNHEX(in_token) AND f.state = 'migrating' AND f.answer = 'ok'),
           MAX(f.has_home)
      INTO v_good,
           v_has_home
      FROM slot_fence AS f
     WHERE f.slot = in_slot
       FOR UPDATE;

    IF NOT COALESCE(v_good, 0) THEN
        SIGNAL SQLSTATE '45409' SET MESSAGE_TEXT = 'fenced out: another mover has taken the slot';
    END IF;

    -- Should this mover fall asleep now, whoever follows it ends this session by its token.
    DO GET_LOCK(CONCAT('doushard:', in_token), 0);

    IF EXISTS (SELECT 1
                 FROM slot_lost AS x
                WHERE x.slot = in_slot) THEN
        SIGNAL SQLSTATE '45503' SET MESSAGE_TEXT = 'the journal of the slot was not kept';
    END IF;

    UPDATE slot_fence AS f
       SET f.flip = CONNECTION_ID()
     WHERE f.slot = in_slot;

    SELECT COALESCE(MAX(s.last), 0) AS seq_last,
           COALESCE(MAX(s.own_last), 0) AS own_last,
           v_has_home AS has_home
      FROM slot_seq AS s
     WHERE s.slot = in_slot;
END$$

DELIMITER ;
