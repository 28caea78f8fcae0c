-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- session_open: log in: add a session, and limit the number of sessions of a user.
--
-- in_ops  batch; owner is the user; each operation has
--           session     32 hex digits, id of the new session
--           expires_at  its absolute end, ms since the Unix epoch
--           max         how many sessions the user may have, the new one included (1 or
--                       more): expired ones are removed, then the oldest
--
-- Answer  : n, code, slot, epoch, server
-- Codes   : ok same notfound (no live user) banned moved notready
-- Touches : SELECT user (by slot and user_id, FOR UPDATE); SELECT, INSERT, DELETE session (by
--           slot and user_id); journal
-- Errors  : 45400 malformed batch
-- Replays : same when the session is there

DROP PROCEDURE IF EXISTS session_open;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE session_open (
    IN in_ops JSON
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: open sessions and remove the ones over the limit'
BEGIN
    DECLARE v_n          INT;
    DECLARE v_slot       INT UNSIGNED;
    DECLARE v_user_id    BIGINT UNSIGNED;
    DECLARE v_moving     TINYINT;
    DECLARE v_session    BINARY(16);
    DECLARE v_expires_at BIGINT;
    DECLARE v_max        INT;
    DECLARE v_excess     INT;
    DECLARE v_removed    INT;
    DECLARE v_done       BOOLEAN DEFAULT FALSE;

    DECLARE c_op CURSOR FOR
        SELECT o.n,
               o.slot,
               o.user_id,
               o.moving,
               UNHEX(j.session),
               j.expires_at,
               j.max_count
          FROM JSON_TABLE(in_ops, '$[*]' COLUMNS (
                   n          FOR ORDINALITY,
                   session    VARCHAR(32) PATH '$.session',
                   expires_at BIGINT PATH '$.expires_at',
                   max_count  INT PATH '$.max'
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
               session    VARCHAR(33) PATH '$.session',
               expires_at BIGINT PATH '$.expires_at',
               max_count  INT PATH '$.max'
           )) AS j
     WHERE NOT COALESCE(j.owner > 0
                        AND LENGTH(j.session) = 32 AND UNHEX(j.session) IS NOT NULL
                        AND j.expires_at > 0
                        AND j.max_count > 0, FALSE);

    CALL _op_refuse(v_n, 'owner, session, expires_at and max');

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    CALL _op_fence(v_moving);
    CALL _op_user_lock();
    CALL _op_user_need();

    UPDATE op AS o
     STRAIGHT_JOIN op_user AS m
        ON m.slot = o.slot
       AND m.user_id = o.user_id
       SET o.code = 'banned'
     WHERE o.code = 'notfound'
       AND m.state = 'banned';

    OPEN c_op;
    op_loop: LOOP
        FETCH c_op INTO v_n, v_slot, v_user_id, v_moving, v_session, v_expires_at, v_max;
        IF v_done THEN
            LEAVE op_loop;
        END IF;

        IF EXISTS (SELECT 1
                     FROM session AS s
                    WHERE s.slot = v_slot
                      AND s.user_id = v_user_id
                      AND s.session = v_session) THEN
            UPDATE op AS o
               SET o.code = 'same'
             WHERE o.n = v_n;
        ELSE
            DELETE
              FROM session
             WHERE slot = v_slot
               AND user_id = v_user_id
               AND expires_at <= _now_ms();
            SET v_removed = ROW_COUNT();

            SELECT COUNT(*) + 1 - v_max
              INTO v_excess
              FROM session AS s
             WHERE s.slot = v_slot
               AND s.user_id = v_user_id;

            IF v_excess > 0 THEN
                DELETE
                  FROM session
                 WHERE slot = v_slot
                   AND user_id = v_user_id
                 ORDER BY created_at,
                          session
                 LIMIT v_excess;
                SET v_removed = v_removed + v_excess;
            END IF;

            IF v_removed > 0 THEN
                CALL _slot_log_add(v_moving, v_slot, 'session', v_user_id,
                                   v_user_id, NULL, NULL, NULL, NULL);
            END IF;

            CALL _session_put(v_moving, v_slot, v_user_id, v_session, v_expires_at);
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
