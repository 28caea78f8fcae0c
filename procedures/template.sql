-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- domain_verb: a batch of operations in one transaction; scripts/new-procedure makes routines
-- of this file, of template_read.sql (one owner is read) and template_admin.sql (for operators).
-- tests/lint/sql_lint.test.js checks what is written in them.
--
-- in_ops  batch; owner is ...; each operation has
--           op   32 hex digits, idempotency key
--
-- Answer  : n, code, slot, epoch, server
-- Answer 2: as _op_user_answer
-- Codes   : ok notfound moved notready
-- Touches : SELECT, UPDATE user (by slot and user_id); journal
-- Errors  : 45400 malformed batch
-- Replays : what a second CALL with the same arguments finds and answers

DROP PROCEDURE IF EXISTS domain_verb;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE domain_verb (
    IN in_ops JSON
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: what it does'
BEGIN
    DECLARE v_n       INT;
    DECLARE v_slot    INT UNSIGNED;
    DECLARE v_floor   BIGINT UNSIGNED;
    DECLARE v_user_id BIGINT UNSIGNED;
    DECLARE v_moving  TINYINT;
    DECLARE v_op      BINARY(16);
    DECLARE v_done    BOOLEAN DEFAULT FALSE;

    -- Operations that may go on, in the order in which locks are taken.
    DECLARE c_op CURSOR FOR
        SELECT o.n,
               o.slot,
               o.epoch << 33,
               o.user_id,
               o.moving,
               UNHEX(j.op)
          FROM JSON_TABLE(in_ops, '$[*]' COLUMNS (
                   n  FOR ORDINALITY,
                   op VARCHAR(32) PATH '$.op'
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

    -- Arguments first, one character wider than allowed: JSON_TABLE of MariaDB cuts silently
    -- (where it counts, read them at once: _op_begin and _op_opened). A malformed operation is
    -- the caller's bug and refuses the whole CALL.
    CALL _op_open(in_ops);

    SELECT MIN(j.n)
      INTO v_n
      FROM JSON_TABLE(in_ops, '$[*]' COLUMNS (
               n     FOR ORDINALITY,
               owner BIGINT UNSIGNED PATH '$.owner',
               op    VARCHAR(33) PATH '$.op'
           )) AS j
     WHERE NOT COALESCE(j.owner > 0 AND LENGTH(j.op) = 32 AND UNHEX(j.op) IS NOT NULL, FALSE);

    CALL _op_refuse(v_n, 'owner and op');

    -- SET TRANSACTION is refused inside a transaction: a CALL never commits the caller's work.
    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    -- Lock order: fences, mints (_slot_seq_lock, where ids are made), user rows, video rows,
    -- inbound parts; then edges and lists.
    CALL _op_fence(v_moving);
    CALL _op_user_lock();
    CALL _op_user_need();

    OPEN c_op;
    op_loop: LOOP
        FETCH c_op INTO v_n, v_slot, v_floor, v_user_id, v_moving, v_op;
        IF v_done THEN
            LEAVE op_loop;
        END IF;

        -- Expected refusals are codes, never SIGNAL: one refused operation does not fail its
        -- neighbours. SELECT ... INTO needs a row: aggregate when there may be none.
        UPDATE user AS u
           SET u.ver = GREATEST(u.ver, v_floor) + 1
         WHERE u.slot = v_slot
           AND u.user_id = v_user_id;

        -- Journal every row that was written, in the same transaction.
        CALL _slot_log_add(v_moving, v_slot, 'user', v_user_id,
                           v_user_id, NULL, NULL, NULL, NULL);
    END LOOP;
    CLOSE c_op;

    -- The owners' new state, for callers that cache them.
    CALL _op_user_lock();

    COMMIT;

    SELECT o.n,
           o.code,
           o.slot,
           o.epoch,
           o.server
      FROM op AS o
     ORDER BY o.n;

    CALL _op_user_answer();
END$$

DELIMITER ;
