-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- job_finish: report claimed jobs.
--
-- in_ops  batch; owner is the job's owner_id; each operation has
--           kind       as claimed
--           target_id  as claimed
--           claim      32 hex digits, as given to job_claim
--           done       1: the job is removed; 0: it failed and is due again
--           progress   1: it did not finish, but made progress: the count of failures starts
--                      again; may be absent
--           error      why it failed; 200 characters are kept; may be absent when done
--           retry_ms   wait at least this long, 0 or more; may be absent when done
--
-- A job that failed the 20th time without progress is parked for an operator.
--
-- Answer  : n, code, slot, epoch, server
-- Codes   : ok notfound (the claim was lost, or the job is reported) moved notready
-- Touches : SELECT, UPDATE, DELETE job (by slot, owner_id, kind, target_id); journal
-- Errors  : 45400 malformed batch
-- Replays : notfound, for the claim is gone

DROP PROCEDURE IF EXISTS job_finish;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE job_finish (
    IN in_ops JSON
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v2: report claimed jobs'
BEGIN
    DECLARE v_n         INT;
    DECLARE v_slot      INT UNSIGNED;
    DECLARE v_owner_id  BIGINT UNSIGNED;
    DECLARE v_moving    TINYINT;
    DECLARE v_kind      VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin;
    DECLARE v_target_id BIGINT UNSIGNED;
    DECLARE v_claim     BINARY(16);
    DECLARE v_finished  TINYINT;
    DECLARE v_progress  TINYINT;
    DECLARE v_error     VARCHAR(200);
    DECLARE v_retry_ms  BIGINT;
    DECLARE v_found     INT;
    DECLARE v_done      BOOLEAN DEFAULT FALSE;

    DECLARE c_op CURSOR FOR
        SELECT o.n,
               o.slot,
               o.owner,
               o.moving,
               j.kind,
               j.target_id,
               UNHEX(j.claim),
               j.done,
               COALESCE(j.progress = '1', 0),
               LEFT(COALESCE(j.error, ''), 200),
               COALESCE(j.retry_ms, 0)
          FROM JSON_TABLE(in_ops, '$[*]' COLUMNS (
                   n         FOR ORDINALITY,
                   kind      VARCHAR(16) PATH '$.kind',
                   target_id BIGINT UNSIGNED PATH '$.target_id',
                   claim     VARCHAR(32) PATH '$.claim',
                   done      TINYINT PATH '$.done',
                   progress  VARCHAR(8) PATH '$.progress',
                   error     TEXT PATH '$.error',
                   retry_ms  BIGINT PATH '$.retry_ms'
               )) AS j
          JOIN op AS o
            ON o.n = j.n
         WHERE o.code = 'ok'
         ORDER BY o.n;

    DECLARE CONTINUE HANDLER FOR NOT FOUND SET v_done = TRUE;
    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    CALL _op_open(in_ops);

    SELECT MIN(j.n)
      INTO v_n
      FROM JSON_TABLE(in_ops, '$[*]' COLUMNS (
               n         FOR ORDINALITY,
               owner     BIGINT UNSIGNED PATH '$.owner',
               kind      VARCHAR(17) PATH '$.kind',
               target_id BIGINT UNSIGNED PATH '$.target_id',
               claim     VARCHAR(33) PATH '$.claim',
               done      VARCHAR(8) PATH '$.done',
               retry_ms  BIGINT PATH '$.retry_ms'
           )) AS j
     WHERE NOT COALESCE(j.owner > 0
                        AND LENGTH(j.kind) BETWEEN 1 AND 16
                        AND LENGTH(j.kind) = CHAR_LENGTH(j.kind)
                        AND j.target_id >= 0
                        AND LENGTH(j.claim) = 32 AND UNHEX(j.claim) IS NOT NULL
                        AND (j.done = '1'
                             OR (j.done = '0' AND j.retry_ms BETWEEN 0 AND 86400000)), FALSE);

    CALL _op_refuse(v_n, 'owner, kind, target_id, claim, done, retry_ms 0 to 86400000');

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    CALL _op_fence(v_moving);

    OPEN c_op;
    op_loop: LOOP
        FETCH c_op INTO v_n, v_slot, v_owner_id, v_moving, v_kind, v_target_id,
                        v_claim, v_finished, v_progress, v_error, v_retry_ms;
        IF v_done THEN
            LEAVE op_loop;
        END IF;

        SELECT COUNT(*)
          INTO v_found
          FROM job AS jb
         WHERE jb.slot = v_slot
           AND jb.owner_id = v_owner_id
           AND jb.kind = v_kind
           AND jb.target_id = v_target_id
           AND jb.claim = v_claim
           FOR UPDATE;

        IF v_found = 0 THEN
            UPDATE op AS o
               SET o.code = 'notfound'
             WHERE o.n = v_n;
        ELSE
            IF v_finished = 1 THEN
                DELETE
                  FROM job
                 WHERE slot = v_slot
                   AND owner_id = v_owner_id
                   AND kind = v_kind
                   AND target_id = v_target_id;
            ELSE
                UPDATE job AS jb
                   SET jb.claim         = NULL,
                       jb.claimed_until = 0,
                       jb.due_at        = _now_ms() + v_retry_ms,
                       jb.last_error    = v_error,
                       jb.parked        = jb.attempts >= 20 AND v_progress = 0,
                       jb.attempts      = IF(v_progress = 1, 0, jb.attempts)
                 WHERE jb.slot = v_slot
                   AND jb.owner_id = v_owner_id
                   AND jb.kind = v_kind
                   AND jb.target_id = v_target_id;
            END IF;

            CALL _slot_log_add(v_moving, v_slot, 'job', v_owner_id,
                               v_owner_id, v_target_id, NULL, NULL, v_kind);
        END IF;
    END LOOP;
    CLOSE c_op;

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
