-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- user_erase: erase a user, for ever.
--
-- in_id  user
--
-- From now on nobody finds him, he cannot log in, and his name stays taken. What he wrote and did
-- is undone afterwards, in steps, by the server that claims the job user_erase and calls erase_step
-- until nothing is left. Called again, it revives that job if it was parked after too many
-- failures.
--
-- Answer  : n, code, slot, epoch, server
-- Codes   : ok same (he is erased) notfound (no such user) moved notready
-- Touches : SELECT, UPDATE user, inbound (by slot and user_id); DELETE session (by slot and
--           user_id);
--           INSERT, UPDATE job (by key); journal
-- Errors  : 45400 no id
-- Replays : same

DROP PROCEDURE IF EXISTS user_erase;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE user_erase (
    IN in_id BIGINT UNSIGNED
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: erase a user'
BEGIN
    DECLARE v_ops    JSON;
    DECLARE v_slot   INT UNSIGNED;
    DECLARE v_epoch  BIGINT UNSIGNED;
    DECLARE v_moving TINYINT;
    DECLARE v_state  VARCHAR(8);

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    IF NOT COALESCE(in_id BETWEEN 1 AND 9007199254740991, FALSE) THEN
        SIGNAL SQLSTATE '45400' SET MESSAGE_TEXT = 'user_erase needs the id of a user';
    END IF;

    SET v_ops = _op_home(in_id);

    CALL _op_open(v_ops);

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    CALL _op_fence(v_moving);
    CALL _op_user_lock();
    CALL _op_user_need();

    SELECT MAX(o.slot),
           MAX(o.epoch),
           MAX(u.state)
      INTO v_slot,
           v_epoch,
           v_state
      FROM op AS o
     STRAIGHT_JOIN user AS u FORCE INDEX (PRIMARY)
        ON u.slot = o.slot
       AND u.user_id = o.owner
     WHERE o.code IN ('ok', 'notfound');

    IF v_state IN ('live', 'banned') THEN
        UPDATE op AS o
           SET o.code = 'ok'
         WHERE o.n = 1;

        UPDATE user AS u
           SET u.state               = 'erased',
               u.password_hash       = '',
               u.password_changed_at = _now_ms(),
               u.avatar              = '',
               u.background_image    = '',
               u.signature           = '',
               u.ver                 = GREATEST(u.ver, v_epoch << 33) + 1
         WHERE u.slot = v_slot
           AND u.user_id = in_id;

        UPDATE inbound AS i
           SET i.state = 'erased',
               i.ver   = GREATEST(i.ver, v_epoch << 33) + 1
         WHERE i.slot = v_slot
           AND i.user_id = in_id;

        DELETE
          FROM session
         WHERE slot = v_slot
           AND user_id = in_id;

        INSERT INTO job (slot, owner_id, kind, target_id, payload, due_at)
        VALUES (v_slot, in_id, 'user_erase', in_id, '', _now_ms());

        CALL _slot_log_add(v_moving, v_slot, 'user', in_id,
                           in_id, NULL, NULL, NULL, NULL);
        CALL _slot_log_add(v_moving, v_slot, 'inbound', in_id,
                           in_id, NULL, NULL, NULL, NULL);
        CALL _slot_log_add(v_moving, v_slot, 'session', in_id,
                           in_id, NULL, NULL, NULL, NULL);
        CALL _slot_log_add(v_moving, v_slot, 'job', in_id,
                           in_id, in_id, NULL, NULL, 'user_erase');
    ELSEIF v_state = 'erased' THEN
        UPDATE job AS j
           SET j.parked   = 0,
               j.attempts = 0,
               j.due_at   = _now_ms()
         WHERE j.slot = v_slot
           AND j.owner_id = in_id
           AND j.kind = 'user_erase'
           AND j.target_id = in_id
           AND j.parked = 1;

        CALL _slot_log_add(v_moving, v_slot, 'job', in_id,
                           in_id, in_id, NULL, NULL, 'user_erase');

        UPDATE op AS o
           SET o.code = 'same'
         WHERE o.n = 1;
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
