-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- job_claim: claim due jobs of the slots that this shard serves, for a time.
--
-- in_claim     32 hex digits, random: proves later that the job is still ours
-- in_limit     at most so many, 1 to 256
-- in_lease_ms  how long they are ours, 1 to 86400000; afterwards any process may claim them
--
-- Answer  : slot, epoch, owner_id, kind, target_id, payload, attempts
-- Touches : SELECT job (by parked and due_at); slot_fence (by slot, share lock); SELECT,
--           UPDATE job (by slot, owner_id, kind, target_id); journal
-- Errors  : 45400 an argument is NULL or malformed
-- Replays : the same claim gets the jobs again that it holds, and perhaps more

DROP PROCEDURE IF EXISTS job_claim;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE job_claim (
    IN in_claim    CHAR(32),
    IN in_limit    INT,
    IN in_lease_ms BIGINT
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: claim due jobs'
BEGIN
    DECLARE v_now       BIGINT DEFAULT _now_ms();
    DECLARE v_claim     BINARY(16) DEFAULT UNHEX(in_claim);
    DECLARE v_ops       JSON;
    DECLARE v_slot      INT UNSIGNED;
    DECLARE v_owner_id  BIGINT UNSIGNED;
    DECLARE v_moving    TINYINT;
    DECLARE v_kind      VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin;
    DECLARE v_target_id BIGINT UNSIGNED;
    DECLARE v_free      INT;
    DECLARE v_done      BOOLEAN DEFAULT FALSE;

    DECLARE c_op CURSOR FOR
        SELECT o.slot,
               o.owner,
               o.moving,
               j.kind,
               j.target_id
          FROM JSON_TABLE(v_ops, '$[*]' COLUMNS (
                   n         FOR ORDINALITY,
                   kind      VARCHAR(16) PATH '$.kind',
                   target_id BIGINT UNSIGNED PATH '$.target_id'
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

    IF NOT COALESCE(LENGTH(in_claim) = 32
                    AND v_claim IS NOT NULL
                    AND in_limit BETWEEN 1 AND 256
                    AND in_lease_ms BETWEEN 1 AND 86400000, FALSE) THEN
        SIGNAL SQLSTATE '45400'
           SET MESSAGE_TEXT = 'job_claim needs claim, limit 1 to 256, lease_ms 1 to 86400000';
    END IF;

    -- Candidates, without locks: the oldest, then in the order in which locks are taken.
    SELECT JSON_ARRAYAGG(JSON_OBJECT('slot', c.slot,
                                     'epoch', 0,
                                     'owner', c.owner_id,
                                     'kind', c.kind,
                                     'target_id', c.target_id))
      INTO v_ops
      FROM (SELECT d.slot,
                   d.owner_id,
                   d.kind,
                   d.target_id
              FROM (SELECT jb.slot,
                           jb.owner_id,
                           jb.kind,
                           jb.target_id
                      FROM job AS jb FORCE INDEX (due)
                     STRAIGHT_JOIN slot_fence AS f FORCE INDEX (PRIMARY)
                        ON f.slot = jb.slot
                       AND f.answer = 'ok'
                     WHERE jb.parked = 0
                       AND jb.due_at <= v_now
                       AND (jb.claimed_until <= v_now OR jb.claim = v_claim)
                     ORDER BY jb.due_at
                     LIMIT in_limit) AS d
             ORDER BY d.slot,
                      d.owner_id,
                      d.kind,
                      d.target_id
             LIMIT 256) AS c;

    IF v_ops IS NOT NULL THEN
        CALL _op_open(v_ops);

        SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
        START TRANSACTION;

        CALL _op_fence(v_moving);

        OPEN c_op;
        op_loop: LOOP
            FETCH c_op INTO v_slot, v_owner_id, v_moving, v_kind, v_target_id;
            IF v_done THEN
                LEAVE op_loop;
            END IF;

            -- Another process may have been faster.
            SELECT COUNT(*)
              INTO v_free
              FROM job AS jb
             WHERE jb.slot = v_slot
               AND jb.owner_id = v_owner_id
               AND jb.kind = v_kind
               AND jb.target_id = v_target_id
               AND jb.parked = 0
               AND jb.due_at <= v_now
               AND jb.claimed_until <= v_now
               FOR UPDATE;

            IF v_free = 1 THEN
                UPDATE job AS jb
                   SET jb.claim         = v_claim,
                       jb.claimed_until = v_now + in_lease_ms,
                       jb.attempts      = jb.attempts + 1
                 WHERE jb.slot = v_slot
                   AND jb.owner_id = v_owner_id
                   AND jb.kind = v_kind
                   AND jb.target_id = v_target_id;

                CALL _slot_log_add(v_moving, v_slot, 'job', v_owner_id,
                                   v_owner_id, v_target_id, NULL, NULL, v_kind);
            END IF;
        END LOOP;
        CLOSE c_op;

        COMMIT;
    END IF;

    SELECT jb.slot,
           f.epoch,
           jb.owner_id,
           jb.kind,
           jb.target_id,
           jb.payload,
           jb.attempts
      FROM JSON_TABLE(COALESCE(v_ops, '[]'), '$[*]' COLUMNS (
               n         FOR ORDINALITY,
               slot      INT UNSIGNED PATH '$.slot',
               owner     BIGINT UNSIGNED PATH '$.owner',
               kind      VARCHAR(16) PATH '$.kind',
               target_id BIGINT UNSIGNED PATH '$.target_id'
           )) AS j
     STRAIGHT_JOIN job AS jb FORCE INDEX (PRIMARY)
        ON jb.slot = j.slot
       AND jb.owner_id = j.owner
       AND jb.kind = j.kind
       AND jb.target_id = j.target_id
       AND jb.claim = v_claim
     STRAIGHT_JOIN slot_fence AS f FORCE INDEX (PRIMARY)
        ON f.slot = jb.slot
     ORDER BY j.n;
END$$

DELIMITER ;
