-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- session_check: is a session live?
--
-- in_slot     slot of the user
-- in_epoch    epoch of the slot, as the router believes
-- in_user_id  user
-- in_session  32 hex digits, id of the session
-- in_idle_ms  how long a session lives without being seen, 1 to 9999999999999
--
-- touch is 1 when the session was last seen an hour ago or more: call session_touch then.
--
-- Answer  : n, code, slot, epoch, server, touch, expires_at
-- Answer 2: as _op_refusals (when this shard does not serve the owner)
-- Codes   : ok notfound (no such session, or its user is not live) expired moved notready
-- Touches : SELECT slot_fence (by slot), owner_home, user (by slot and user_id),
--           session (by slot, user_id, session), in one snapshot
-- Errors  : 45400 an argument is NULL or malformed
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
    DECLARE v_now     BIGINT DEFAULT _now_ms();
    DECLARE v_session BINARY(16) DEFAULT UNHEX(in_session);

    IF NOT COALESCE(in_slot >= 0
                    AND in_epoch >= 0
                    AND in_user_id > 0
                    AND LENGTH(in_session) = 32
                    AND v_session IS NOT NULL
                    AND in_idle_ms BETWEEN 1 AND 9999999999999, FALSE) THEN
        SIGNAL SQLSTATE '45400'
           SET MESSAGE_TEXT = 'session_check needs slot, epoch, user_id, session and idle_ms';
    END IF;

    SELECT 1 AS n,
           CASE WHEN u.user_id IS NULL OR s.session IS NULL
                THEN 'notfound'
                WHEN s.expires_at <= v_now OR s.seen_at + in_idle_ms <= v_now
                THEN 'expired'
                ELSE 'ok'
           END AS code,
           f.slot,
           f.epoch,
           f.server,
           s.seen_at + 3600000 <= v_now AS touch,
           s.expires_at
      FROM slot_fence AS f
      LEFT JOIN owner_home AS h
        ON h.slot = IF(f.has_home = 1, f.slot, NULL)
       AND h.owner_id = in_user_id
      LEFT JOIN user AS u
        ON u.slot = f.slot
       AND u.user_id = in_user_id
       AND u.state = 'live'
      LEFT JOIN session AS s
        ON s.slot = u.slot
       AND s.user_id = u.user_id
       AND s.session = v_session
     WHERE f.slot = in_slot
       AND f.answer = 'ok'
       AND f.epoch >= in_epoch
       AND h.owner_id IS NULL;

    IF FOUND_ROWS() = 0 THEN
        CALL _op_refusals(JSON_ARRAY(JSON_OBJECT('slot', in_slot, 'epoch', in_epoch,
                                                 'owner', in_user_id)));
    END IF;
END$$

DELIMITER ;
