-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- idem_claim: remember the request of an idempotency key.
--
-- in_ops  batch; owner is 0; each operation has
--           op    32 hex digits, the key; slot is CRC32(its 16 bytes) MOD 1024
--           body  64 hex digits, SHA-256 of the request
--
-- A key is valid for a day; after that it counts as never used. The rows of a request keep their op
-- for ever: an op made from key and created_at finds those of this use and none of an earlier one.
-- At most one operation per key.
--
-- Answer  : n, code, slot, epoch, server, created_at (of the first use; ms since the Unix
--           epoch; for ok and same)
-- Codes   : ok (new) same (the same request) mismatch (another one) moved notready
-- Touches : SELECT, INSERT, UPDATE idem (by slot and op); journal
-- Errors  : 45400 malformed batch
-- Replays : same

DROP PROCEDURE IF EXISTS idem_claim;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE idem_claim (
    IN in_ops JSON
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v2: remember requests by key'
BEGIN
    DECLARE v_n          INT;
    DECLARE v_slot       INT UNSIGNED;
    DECLARE v_moving     TINYINT;
    DECLARE v_op         BINARY(16);
    DECLARE v_body       BINARY(32);
    DECLARE v_code       VARCHAR(12);
    DECLARE v_created_at BIGINT;
    DECLARE v_now        BIGINT DEFAULT _now_ms();
    DECLARE v_done       BOOLEAN DEFAULT FALSE;

    DECLARE c_op CURSOR FOR
        SELECT o.n,
               o.slot,
               o.moving,
               UNHEX(j.op),
               UNHEX(j.body)
          FROM JSON_TABLE(in_ops, '$[*]' COLUMNS (
                   n    FOR ORDINALITY,
                   op   VARCHAR(32) PATH '$.op',
                   body VARCHAR(64) PATH '$.body'
               )) AS j
          JOIN op AS o
            ON o.n = j.n
         WHERE o.code = 'ok'
         ORDER BY o.slot,
                  j.op;

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
               n     FOR ORDINALITY,
               slot  INT UNSIGNED PATH '$.slot',
               owner VARCHAR(24) PATH '$.owner',
               op    VARCHAR(33) PATH '$.op',
               body  VARCHAR(65) PATH '$.body'
           )) AS j
     WHERE NOT COALESCE(j.owner = '0'
                        AND LENGTH(j.op) = 32 AND UNHEX(j.op) IS NOT NULL
                        AND CRC32(UNHEX(j.op)) MOD 1024 = j.slot
                        AND LENGTH(j.body) = 64 AND UNHEX(j.body) IS NOT NULL, FALSE);

    CALL _op_refuse(v_n, 'owner 0, op in its slot, and body');

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    CALL _op_fence(v_moving);

    OPEN c_op;
    op_loop: LOOP
        FETCH c_op INTO v_n, v_slot, v_moving, v_op, v_body;
        IF v_done THEN
            LEAVE op_loop;
        END IF;

        -- The insert waits for another session that is inserting the key; then the row exists,
        -- locked, and shows whether the first use is ours.
        INSERT INTO idem (slot, op, body, created_at, uses)
        VALUES (v_slot, v_op, v_body, v_now, 1)
            ON DUPLICATE KEY UPDATE uses = uses + 1;

        SELECT i.created_at,
               CASE WHEN i.uses = 1 OR i.created_at <= v_now - 86400000
                    THEN 'ok'
                    WHEN i.body = v_body
                    THEN 'same'
                    ELSE 'mismatch'
               END
          INTO v_created_at,
               v_code
          FROM idem AS i
         WHERE i.slot = v_slot
           AND i.op = v_op;

        IF v_code = 'ok' THEN
            UPDATE idem AS i
               SET i.body       = v_body,
                   i.created_at = v_now,
                   i.uses       = 1
             WHERE i.slot = v_slot
               AND i.op = v_op;

            SET v_created_at = v_now;
        END IF;

        UPDATE op AS o
           SET o.code = v_code,
               o.at   = v_created_at
         WHERE o.n = v_n;

        CALL _slot_log_add(v_moving, v_slot, 'idem', 0, NULL, NULL, NULL, NULL, v_op);
    END LOOP;
    CLOSE c_op;

    COMMIT;

    SELECT o.n,
           o.code,
           o.slot,
           o.epoch,
           o.server,
           IF(o.code IN ('ok', 'same'), o.at, NULL) AS created_at
      FROM op AS o
     ORDER BY o.n;
END$$

DELIMITER ;
