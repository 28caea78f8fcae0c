-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- user_ban: lock a user out, until user_unban, and hide his videos.
--
-- in_id  user
--
-- Only his state changes: his rows stay, and so does what they count, so that nothing is to be
-- counted again when he is back.
--   He       is logged out and cannot log in (session_open answers banned, once his password
--            was right). What is asked with a session that a server remembers (5 s) changes
--            nothing in his slot: no first half, no video, no profile.
--   His      videos are in no feed and no list, have no card, and take no comments. Files that
--   videos   somebody has the address of are served on.
--   His page is found as ever, with what he follows and likes and who follows him.
--   Others   second halves are taken as ever, of state 1 and 0, so that what was acknowledged
--            before the ban, or is told to somebody who still sees the video, is not taken
--            back: likes, follows, messages to him, comments of his that are deleted.
-- What he began before the ban is delivered. user_erase takes him as he is.
--
-- Answer  : n, code, slot, epoch, server, ended (sessions)
-- Answer 2: as _op_user_answer
-- Answer 3: as _op_inbound_answer
-- Codes   : ok same (he is banned) notfound (no such user, or erased) moved notready
-- Touches : SELECT, UPDATE user, inbound (by slot and user_id); DELETE session (by slot and
--           user_id); journal
-- Errors  : 45400 no id
-- Replays : same

DROP PROCEDURE IF EXISTS user_ban;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE user_ban (
    IN in_id BIGINT UNSIGNED
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: lock a user out and hide his videos'
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
        SIGNAL SQLSTATE '45400' SET MESSAGE_TEXT = 'user_ban needs the id of a user';
    END IF;

    SET v_ops = _op_home(in_id);

    CALL _op_open(v_ops);

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    CALL _op_fence(v_moving);
    CALL _op_user_lock();
    CALL _user_state('live', 'banned');

    SELECT MAX(o.slot)
      INTO v_slot
      FROM op AS o
     WHERE o.code = 'ok';

    DELETE
      FROM session
     WHERE slot = v_slot
       AND user_id = in_id;

    SET v_ended = ROW_COUNT();

    IF v_ended > 0 THEN
        CALL _slot_log_add(v_moving, v_slot, 'session', in_id,
                           in_id, NULL, NULL, NULL, NULL);
    END IF;

    CALL _op_user_lock();
    CALL _op_inbound_lock();

    COMMIT;

    SELECT o.n,
           o.code,
           o.slot,
           o.epoch,
           o.server,
           v_ended AS ended
      FROM op AS o
     ORDER BY o.n;

    CALL _op_user_answer();
    CALL _op_inbound_answer();
END$$

DELIMITER ;
