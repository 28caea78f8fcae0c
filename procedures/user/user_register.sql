-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- user_register: make accounts, each with its user and a first session.
--
-- in_ops  batch; owner is 0; each operation has
--           op          32 hex digits, idempotency key
--           name        1 to 32 characters; slot is CRC32(name) MOD 1024
--           hash        password hash, 1 to 255 ASCII characters
--           session     32 hex digits
--           expires_at  absolute end of the session, ms since the Unix epoch
--
-- Answer  : n, code, slot, epoch, server, user_id
-- Answer 2: as _op_user_answer
-- Answer 3: as _op_inbound_answer
-- Codes   : ok same taken moved notready
-- Touches : SELECT, INSERT account (by slot and name); SELECT, INSERT user, inbound (by slot
--           and user_id); SELECT, INSERT session (by slot, user_id, session); slot_seq; SELECT
--           owner_home (by slot and user_id); journal
-- Errors  : 45400 malformed batch   45503 the slot has no mint here
-- Replays : the same op gets the same user and its session (again), as long as the password
--           was not changed since: an old request must not open a session without its owner's
--           knowledge. Is the user promoted meanwhile, then the answer is moved with user_id and
--           its own slot, where session_open does the rest.

DROP PROCEDURE IF EXISTS user_register;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE user_register (
    IN in_ops JSON
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: make accounts with a first session'
BEGIN
    DECLARE v_n          INT;
    DECLARE v_slot       INT UNSIGNED;
    DECLARE v_epoch      BIGINT UNSIGNED;
    DECLARE v_moving     TINYINT;
    DECLARE v_op         BINARY(16);
    DECLARE v_name       VARCHAR(32);
    DECLARE v_hash       VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin;
    DECLARE v_session    BINARY(16);
    DECLARE v_expires_at BIGINT;
    DECLARE v_user_id    BIGINT UNSIGNED;
    DECLARE v_same       BOOLEAN;
    DECLARE v_done       BOOLEAN DEFAULT FALSE;

    DECLARE c_op CURSOR FOR
        SELECT o.n,
               o.slot,
               o.epoch,
               o.moving,
               UNHEX(j.op),
               j.name,
               j.hash,
               UNHEX(j.session),
               j.expires_at
          FROM JSON_TABLE(in_ops, '$[*]' COLUMNS (
                   n          FOR ORDINALITY,
                   op         VARCHAR(32) PATH '$.op',
                   name       VARCHAR(32) PATH '$.name',
                   hash       VARCHAR(255) PATH '$.hash',
                   session    VARCHAR(32) PATH '$.session',
                   expires_at BIGINT PATH '$.expires_at'
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
               n          FOR ORDINALITY,
               slot       INT UNSIGNED PATH '$.slot',
               owner      BIGINT UNSIGNED PATH '$.owner',
               op         VARCHAR(33) PATH '$.op',
               name       VARCHAR(33) PATH '$.name',
               hash       VARCHAR(256) PATH '$.hash',
               session    VARCHAR(33) PATH '$.session',
               expires_at BIGINT PATH '$.expires_at'
           )) AS j
     WHERE NOT COALESCE(j.owner = 0
                        AND CHAR_LENGTH(j.name) BETWEEN 1 AND 32
                        AND CRC32(j.name) MOD 1024 = j.slot
                        AND LENGTH(j.op) = 32 AND UNHEX(j.op) IS NOT NULL
                        AND LENGTH(j.hash) BETWEEN 1 AND 255
                        AND LENGTH(j.hash) = CHAR_LENGTH(j.hash)
                        AND LENGTH(j.session) = 32 AND UNHEX(j.session) IS NOT NULL
                        AND j.expires_at > 0, FALSE);

    CALL _op_refuse(v_n, 'owner 0, op, name in its slot, hash, session, expires_at');

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    CALL _op_fence(v_moving);
    CALL _slot_seq_lock();

    -- Other registrations in these slots wait for us now, so table account cannot change. For
    -- existing names: follow users who were promoted, lock those that are here.
    UPDATE JSON_TABLE(in_ops, '$[*]' COLUMNS (
               n    FOR ORDINALITY,
               name VARCHAR(32) PATH '$.name'
           )) AS j
     STRAIGHT_JOIN op AS o
        ON o.n = j.n
     STRAIGHT_JOIN account AS a FORCE INDEX (PRIMARY)
        ON a.slot = o.slot
       AND a.name = CAST(j.name AS BINARY)
       SET o.user_id = a.user_id
     WHERE o.code = 'ok';

    UPDATE op AS o
     STRAIGHT_JOIN owner_home AS h FORCE INDEX (PRIMARY)
        ON h.slot = o.slot
       AND h.owner_id = o.user_id
      LEFT JOIN slot_known AS k FORCE INDEX (PRIMARY)
        ON k.slot = h.own_slot
       SET o.code   = 'moved',
           o.id     = o.user_id,
           o.slot   = h.own_slot,
           o.epoch  = COALESCE(k.epoch, 0),
           o.server = COALESCE(k.server, '')
     WHERE o.code = 'ok'
       AND o.user_id > 0;

    CALL _op_user_lock();
    CALL _op_user_need();

    OPEN c_op;
    op_loop: LOOP
        FETCH c_op INTO v_n, v_slot, v_epoch, v_moving, v_op, v_name, v_hash, v_session,
                        v_expires_at;
        IF v_done THEN
            LEAVE op_loop;
        END IF;

        SELECT MAX(a.user_id),
               MAX(a.op = v_op AND u.password_changed_at = 0)
          INTO v_user_id,
               v_same
          FROM account AS a
          LEFT JOIN user AS u
            ON u.slot = a.slot
           AND u.user_id = a.user_id
         WHERE a.slot = v_slot
           AND a.name = CAST(v_name AS BINARY);

        IF v_user_id IS NULL THEN
            CALL _op_mint(v_n, FALSE);

            SELECT o.id
              INTO v_user_id
              FROM op AS o
             WHERE o.n = v_n;

            INSERT INTO account (slot, name, user_id, op, created_at)
            VALUES (v_slot, v_name, v_user_id, v_op, _now_ms());

            INSERT INTO user (slot, user_id, name, password_hash, ver, edge_ver, mail_ver,
                              created_at, op)
            VALUES (v_slot, v_user_id, v_name, v_hash, (v_epoch << 33) + 1, v_epoch << 33,
                    v_epoch << 33, _now_ms(), v_op);

            INSERT INTO inbound (slot, user_id, ver, follower_ver, mail_ver)
            VALUES (v_slot, v_user_id, (v_epoch << 33) + 1, v_epoch << 33, v_epoch << 33);

            CALL _session_put(v_moving, v_slot, v_user_id, v_session, v_expires_at);
            CALL _slot_log_add(v_moving, v_slot, 'account', 0,
                               NULL, NULL, NULL, NULL, v_name);
            CALL _slot_log_add(v_moving, v_slot, 'user', v_user_id,
                               v_user_id, NULL, NULL, NULL, NULL);
            CALL _slot_log_add(v_moving, v_slot, 'inbound', v_user_id,
                               v_user_id, NULL, NULL, NULL, NULL);

            UPDATE op AS o
               SET o.user_id = v_user_id
             WHERE o.n = v_n;
        ELSEIF v_same THEN
            CALL _session_put(v_moving, v_slot, v_user_id, v_session, v_expires_at);

            UPDATE op AS o
               SET o.code = 'same',
                   o.id   = v_user_id
             WHERE o.n = v_n;
        ELSE
            UPDATE op AS o
               SET o.code = 'taken'
             WHERE o.n = v_n;
        END IF;
    END LOOP;
    CLOSE c_op;

    -- The name of an erased user stays taken.
    UPDATE op AS o
       SET o.code = 'taken'
     WHERE o.code = 'notfound';

    CALL _op_user_lock();
    CALL _op_inbound_lock();

    COMMIT;

    SELECT o.n,
           o.code,
           o.slot,
           o.epoch,
           o.server,
           NULLIF(o.id, 0) AS user_id
      FROM op AS o
     ORDER BY o.n;

    CALL _op_user_answer();
    CALL _op_inbound_answer();
END$$

DELIMITER ;
