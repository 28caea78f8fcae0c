-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- user_password: replace a password, end all sessions of the user and open one.
--
-- in_ops  batch; owner is the user; each operation has
--           old_hash    hash that was checked
--           new_hash    hash to store, another one
--           session     32 hex digits, id of the only session that stays
--           expires_at  its absolute end, ms since the Unix epoch
--
-- Answer  : n, code, slot, epoch, server
-- Codes   : ok same conflict (old_hash is not the stored one) notfound moved notready
-- Touches : SELECT, UPDATE user (by slot and user_id); SELECT, INSERT session (by slot,
--           user_id, session); DELETE session (by slot and user_id); journal
-- Errors  : 45400 malformed batch
-- Replays : same when new_hash is stored and the session is there

DROP PROCEDURE IF EXISTS user_password;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE user_password (
    IN in_ops JSON
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: replace passwords and end the other sessions'
BEGIN
    DECLARE v_n          INT;
    DECLARE v_slot       INT UNSIGNED;
    DECLARE v_user_id    BIGINT UNSIGNED;
    DECLARE v_moving     TINYINT;
    DECLARE v_old_hash   VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin;
    DECLARE v_new_hash   VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin;
    DECLARE v_session    BINARY(16);
    DECLARE v_expires_at BIGINT;
    DECLARE v_hash       VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin;
    DECLARE v_code       VARCHAR(12);
    DECLARE v_done       BOOLEAN DEFAULT FALSE;

    DECLARE c_op CURSOR FOR
        SELECT o.n,
               o.slot,
               o.user_id,
               o.moving,
               j.old_hash,
               j.new_hash,
               UNHEX(j.session),
               j.expires_at
          FROM JSON_TABLE(in_ops, '$[*]' COLUMNS (
                   n          FOR ORDINALITY,
                   old_hash   VARCHAR(255) PATH '$.old_hash',
                   new_hash   VARCHAR(255) PATH '$.new_hash',
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
               owner      BIGINT UNSIGNED PATH '$.owner',
               old_hash   VARCHAR(256) PATH '$.old_hash',
               new_hash   VARCHAR(256) PATH '$.new_hash',
               session    VARCHAR(33) PATH '$.session',
               expires_at BIGINT PATH '$.expires_at'
           )) AS j
     WHERE NOT COALESCE(j.owner > 0
                        AND LENGTH(j.old_hash) BETWEEN 1 AND 255
                        AND LENGTH(j.new_hash) BETWEEN 1 AND 255
                        AND LENGTH(j.new_hash) = CHAR_LENGTH(j.new_hash)
                        AND j.old_hash <> j.new_hash
                        AND LENGTH(j.session) = 32 AND UNHEX(j.session) IS NOT NULL
                        AND j.expires_at > 0, FALSE);

    CALL _op_refuse(v_n, 'owner, old_hash, another new_hash, session, expires_at');

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    CALL _op_fence(v_moving);
    CALL _op_user_lock();
    CALL _op_user_need();

    OPEN c_op;
    op_loop: LOOP
        FETCH c_op INTO v_n, v_slot, v_user_id, v_moving,
                        v_old_hash, v_new_hash, v_session, v_expires_at;
        IF v_done THEN
            LEAVE op_loop;
        END IF;

        SELECT u.password_hash
          INTO v_hash
          FROM user AS u
         WHERE u.slot = v_slot
           AND u.user_id = v_user_id;

        IF v_hash = v_old_hash THEN
            SET v_code = 'ok';

            UPDATE user AS u
               SET u.password_hash       = v_new_hash,
                   u.password_changed_at = _now_ms()
             WHERE u.slot = v_slot
               AND u.user_id = v_user_id;

            DELETE
              FROM session
             WHERE slot = v_slot
               AND user_id = v_user_id;

            CALL _session_put(v_moving, v_slot, v_user_id, v_session, v_expires_at);
            CALL _slot_log_add(v_moving, v_slot, 'user', v_user_id,
                               v_user_id, NULL, NULL, NULL, NULL);
            CALL _slot_log_add(v_moving, v_slot, 'session', v_user_id,
                               v_user_id, NULL, NULL, NULL, NULL);
        ELSEIF v_hash = v_new_hash AND EXISTS (SELECT 1
                                                 FROM session AS s
                                                WHERE s.slot = v_slot
                                                  AND s.user_id = v_user_id
                                                  AND s.session = v_session) THEN
            SET v_code = 'same';
        ELSE
            SET v_code = 'conflict';
        END IF;

        UPDATE op AS o
           SET o.code = v_code
         WHERE o.n = v_n;
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
