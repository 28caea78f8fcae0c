-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- user_unban: end a user_ban.
--
-- in_id  user
--
-- He may log in again, and his videos are back, with everything counted meanwhile.
--
-- Answer  : n, code, slot, epoch, server
-- Answer 2: as _op_user_answer
-- Answer 3: as _op_inbound_answer
-- Codes   : ok same (he is not banned) notfound (no such user, or erased) moved notready
-- Touches : SELECT, UPDATE user, inbound (by slot and user_id); journal
-- Errors  : 45400 no id
-- Replays : same

DROP PROCEDURE IF EXISTS user_unban;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE user_unban (
    IN in_id BIGINT UNSIGNED
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: let a banned user back in'
BEGIN
    DECLARE v_ops    JSON;
    DECLARE v_moving TINYINT;

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    IF NOT COALESCE(in_id BETWEEN 1 AND 9007199254740991, FALSE) THEN
        SIGNAL SQLSTATE '45400' SET MESSAGE_TEXT = 'user_unban needs the id of a user';
    END IF;

    SET v_ops = _op_home(in_id);

    CALL _op_open(v_ops);

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    CALL _op_fence(v_moving);
    CALL _op_user_lock();
    CALL _user_state('banned', 'live');

    CALL _op_user_lock();
    CALL _op_inbound_lock();

    COMMIT;

    SELECT o.n,
           o.code,
           o.slot,
           o.epoch,
           o.server
      FROM op AS o
     ORDER BY o.n;

    CALL _op_user_answer();
    CALL _op_inbound_answer();
END$$

DELIMITER ;
