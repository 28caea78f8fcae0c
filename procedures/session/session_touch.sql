-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- session_touch: note that sessions are in use.
--
-- in_ops  batch; owner is the user; each operation has
--           session  32 hex digits, id of the session
--
-- Answer  : n, code, slot, epoch, server
-- Codes   : ok notfound moved notready
-- Touches : SELECT, UPDATE session (by slot, user_id, session); journal
-- Errors  : 45400 malformed batch
-- Replays : harmless; the time never goes back

DROP PROCEDURE IF EXISTS session_touch;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE session_touch (
    IN in_ops JSON
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: note that sessions are in use'
BEGIN
    DECLARE v_n       INT;
    DECLARE v_slot    INT UNSIGNED;
    DECLARE v_user_id BIGINT UNSIGNED;
    DECLARE v_moving  TINYINT;
    DECLARE v_session BINARY(16);
    DECLARE v_found   INT;
    DECLARE v_done    BOOLEAN DEFAULT FALSE;

    DECLARE c_op CURSOR FOR
        SELECT o.n,
               o.slot,
               o.user_id,
               o.moving,
               UNHEX(j.session)
          FROM JSON_TABLE(in_ops, '$[*]' COLUMNS (
                   n       FOR ORDINALITY,
                   session VARCHAR(32) PATH '$.session'
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
               n       FOR ORDINALITY,
               owner   BIGINT UNSIGNED PATH '$.owner',
               session VARCHAR(33) PATH '$.session'
           )) AS j
     WHERE NOT COALESCE(j.owner > 0
                        AND LENGTH(j.session) = 32
                        AND UNHEX(j.session) IS NOT NULL, FALSE);

    CALL _op_refuse(v_n, 'owner and session');

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    CALL _op_fence(v_moving);

    OPEN c_op;
    op_loop: LOOP
        FETCH c_op INTO v_n, v_slot, v_user_id, v_moving, v_session;
        IF v_done THEN
            LEAVE op_loop;
        END IF;

        -- Not by ROW_COUNT(), whose meaning depends on a flag of the connection.
        SELECT COUNT(*)
          INTO v_found
          FROM session AS s
         WHERE s.slot = v_slot
           AND s.user_id = v_user_id
           AND s.session = v_session
           FOR UPDATE;

        IF v_found = 1 THEN
            UPDATE session AS s
               SET s.seen_at = GREATEST(s.seen_at, _now_ms())
             WHERE s.slot = v_slot
               AND s.user_id = v_user_id
               AND s.session = v_session;

            CALL _slot_log_add(v_moving, v_slot, 'session', v_user_id,
                               v_user_id, NULL, NULL, NULL, v_session);
        ELSE
            UPDATE op AS o
               SET o.code = 'notfound'
             WHERE o.n = v_n;
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
