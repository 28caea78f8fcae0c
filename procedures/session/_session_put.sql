-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _session_put: insert a session unless it is there.
--
-- in_moving      op.moving
-- in_slot        slot of the user
-- in_user_id     user, whose row the caller has locked
-- in_session     id of the session
-- in_expires_at  its absolute end, ms since the Unix epoch
--
-- Sessions are inserted only under the lock of the user row, so checking first is safe.
--
-- Touches : SELECT, INSERT session (by slot, user_id, session); journal
-- Errors  : none
-- Replays : a session that is there stays as it is

DROP PROCEDURE IF EXISTS _session_put;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _session_put (
    IN in_moving     TINYINT,
    IN in_slot       INT UNSIGNED,
    IN in_user_id    BIGINT UNSIGNED,
    IN in_session    BINARY(16),
    IN in_expires_at BIGINT
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: insert a session unless it is there'
BEGIN
    DECLARE v_now BIGINT DEFAULT _now_ms();

    IF NOT EXISTS (SELECT 1
                     FROM session AS s
                    WHERE s.slot = in_slot
                      AND s.user_id = in_user_id
                      AND s.session = in_session) THEN
        INSERT INTO session (slot, user_id, session, created_at, seen_at, expires_at)
        VALUES (in_slot, in_user_id, in_session, v_now, v_now, in_expires_at);

        CALL _slot_log_add(in_moving, in_slot, 'session', in_user_id,
                           in_user_id, NULL, NULL, NULL, in_session);
    END IF;
END$$

DELIMITER ;
