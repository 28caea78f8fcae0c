-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- chat_repair: make the two mailboxes of a chat agree again, in one direction.
--
-- in_user_id  who sent
-- in_peer_id  who received
--
-- Needed when one of the two shards was restored from a backup, so that the same number means
-- different messages at sender and receiver. The relay requests it by itself when message_deliver
-- answers conflict, or gap for the first waiting message. It makes the job chat_repair: messages of
-- the receiver keep their numbers, the sender gets back those that it has lost, and those that the
-- receiver lacks are numbered after them, in the order in which they were sent, and delivered. A
-- job parked after too many failures waits for job_retry.
--
-- Answer  : n, code, slot, epoch, server
-- Codes   : ok same (there is such a job) notfound (no such user) moved notready
-- Touches : SELECT user (by slot and user_id, FOR UPDATE); SELECT, INSERT job (by key); journal
-- Errors  : 45400 no ids of two users
-- Replays : same

DROP PROCEDURE IF EXISTS chat_repair;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE chat_repair (
    IN in_user_id BIGINT UNSIGNED,
    IN in_peer_id BIGINT UNSIGNED
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: bring the mailboxes of a chat together'
BEGIN
    DECLARE v_ops    JSON;
    DECLARE v_slot   INT UNSIGNED;
    DECLARE v_moving TINYINT;
    DECLARE v_jobs   INT;

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    IF NOT COALESCE(in_user_id BETWEEN 1 AND 9007199254740991
                    AND in_peer_id BETWEEN 1 AND 9007199254740991
                    AND in_user_id <> in_peer_id, FALSE) THEN
        SIGNAL SQLSTATE '45400' SET MESSAGE_TEXT = 'chat_repair needs the ids of two users';
    END IF;

    SET v_ops = _op_home(in_user_id);

    CALL _op_open(v_ops);

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    CALL _op_fence(v_moving);
    CALL _op_user_lock();

    SELECT MAX(u.slot)
      INTO v_slot
      FROM op AS o
     STRAIGHT_JOIN user AS u FORCE INDEX (PRIMARY)
        ON u.slot = o.slot
       AND u.user_id = o.owner
     WHERE o.code = 'ok';

    SELECT COUNT(*)
      INTO v_jobs
      FROM job AS j
     WHERE j.slot = v_slot
       AND j.owner_id = in_user_id
       AND j.kind = 'chat_repair'
       AND j.target_id = in_peer_id
       FOR UPDATE;

    UPDATE op AS o
       SET o.code = IF(v_slot IS NULL, 'notfound', 'same')
     WHERE o.code = 'ok'
       AND (v_slot IS NULL OR v_jobs > 0);

    IF v_slot IS NOT NULL AND v_jobs = 0 THEN
        INSERT INTO job (slot, owner_id, kind, target_id, payload, due_at)
        VALUES (v_slot, in_user_id, 'chat_repair', in_peer_id, '', _now_ms());

        CALL _slot_log_add(v_moving, v_slot, 'job', in_user_id,
                           in_user_id, in_peer_id, NULL, NULL, 'chat_repair');
    END IF;

    COMMIT;

    SELECT o.n,
           o.code,
           o.slot,
           o.epoch,
           o.server
      FROM op AS o
     ORDER BY o.n;
END$$

DELIMITER ;
