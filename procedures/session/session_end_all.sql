-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- session_end_all: log a user out everywhere.
--
-- in_id  user
--
-- A server remembers a session that it has checked for 5 s. To keep him out: user_ban.
--
-- Answer  : n, code, slot, epoch, server, ended (sessions)
-- Codes   : ok notfound (no such user) moved notready
-- Touches : SELECT user (by slot and user_id, FOR UPDATE); DELETE session (by slot and
--           user_id); journal
-- Errors  : 45400 no id
-- Replays : ends what was opened since

DROP PROCEDURE IF EXISTS session_end_all;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE session_end_all (
    IN in_id BIGINT UNSIGNED
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: log a user out everywhere'
BEGIN
    DECLARE v_ops    JSON;
    DECLARE v_slot   INT UNSIGNED;
    DECLARE v_moving TINYINT;
    DECLARE v_ended  INT;

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    IF NOT COALESCE(in_id BETWEEN 1 AND 9007199254740991, FALSE) THEN
        SIGNAL SQLSTATE '45400' SET MESSAGE_TEXT = 'session_end_all needs the id of a user';
    END IF;

    SET v_ops = _op_home(in_id);

    CALL _op_open(v_ops);

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    CALL _op_fence(v_moving);
    CALL _op_user_lock();
    CALL _op_user_need();

    SELECT MAX(o.slot),
           MAX(o.moving)
      INTO v_slot,
           v_moving
      FROM op AS o
     WHERE o.code = 'ok';

    DELETE
      FROM session
     WHERE slot = v_slot
       AND user_id = in_id;

    SET v_ended = ROW_COUNT();

    CALL _slot_log_add(v_moving, v_slot, 'session', in_id,
                       in_id, NULL, NULL, NULL, NULL);

    COMMIT;

    SELECT o.n,
           o.code,
           o.slot,
           o.epoch,
           o.server,
           v_ended AS ended
      FROM op AS o
     ORDER BY o.n;
END$$

DELIMITER ;
