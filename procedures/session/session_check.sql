-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- session_check: session_get for one session, for callers of older versions.
--
-- in_slot     slot of the user
-- in_epoch    epoch of the slot, as the router believes
-- in_user_id  user
-- in_session  32 hex digits, id of the session
-- in_idle_ms  how long a session lives without being seen, 1 to 9999999999999
--
-- Answer  : n, code, slot, epoch, server, touch, expires_at
-- Answer 2: as _op_refusals (when this shard does not serve all owners)
-- Codes   : ok notfound (no such session, or its user is not live) expired moved notready
-- Touches : as session_get
-- Errors  : 45400 malformed batch
-- Replays : reads only

DROP PROCEDURE IF EXISTS session_check;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE session_check (
    IN in_slot    INT UNSIGNED,
    IN in_epoch   BIGINT UNSIGNED,
    IN in_user_id BIGINT UNSIGNED,
    IN in_session CHAR(32),
    IN in_idle_ms BIGINT
)
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v1: is a session live'
BEGIN
    CALL session_get(JSON_ARRAY(JSON_OBJECT('slot', in_slot, 'epoch', in_epoch, 'owner', in_user_id,
                                            'session', in_session, 'idle_ms', in_idle_ms)));
END$$

DELIMITER ;
