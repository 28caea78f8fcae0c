-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- job_retry: have the jobs of an owner tried again now.
--
-- in_id  owner of the jobs
--
-- Parked jobs get 20 new attempts; jobs that were put off are due at once. Claimed jobs are left
-- alone.
--
-- Answer  : n, code, slot, epoch, server, released (jobs)
-- Codes   : ok moved notready
-- Touches : SELECT, UPDATE job (by slot and owner_id); journal
-- Errors  : 45400 no id
-- Replays : releases what is parked or put off again

DROP PROCEDURE IF EXISTS job_retry;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE job_retry (
    IN in_id BIGINT UNSIGNED
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: let the jobs of an owner be done now'
BEGIN
    DECLARE v_ops      JSON;
    DECLARE v_slot     INT UNSIGNED;
    DECLARE v_moving   TINYINT;
    DECLARE v_released INT;
    DECLARE v_now      BIGINT DEFAULT _now_ms();

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    IF NOT COALESCE(in_id BETWEEN 1 AND 9007199254740991, FALSE) THEN
        SIGNAL SQLSTATE '45400' SET MESSAGE_TEXT = 'job_retry needs the id of the owner of jobs';
    END IF;

    SET v_ops = _op_home(in_id);

    CALL _op_open(v_ops);

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    CALL _op_fence(v_moving);

    SELECT MAX(o.slot)
      INTO v_slot
      FROM op AS o
     WHERE o.code = 'ok';

    UPDATE job AS jb
       SET jb.attempts = IF(jb.parked = 1, 0, jb.attempts),
           jb.due_at   = v_now,
           jb.parked   = 0
     WHERE jb.slot = v_slot
       AND jb.owner_id = in_id
       AND jb.claimed_until <= v_now
       AND (jb.parked = 1 OR jb.due_at > v_now);

    SET v_released = ROW_COUNT();

    CALL _slot_log_add(v_moving, v_slot, 'job', in_id,
                       in_id, NULL, NULL, NULL, NULL);

    COMMIT;

    SELECT o.n,
           o.code,
           o.slot,
           o.epoch,
           o.server,
           v_released AS released
      FROM op AS o
     ORDER BY o.n;
END$$

DELIMITER ;
