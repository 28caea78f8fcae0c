-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- session_get: are sessions live, one each?
--
-- in_ops  batch, in any order; owner is the session's user; each operation has
--           session  32 hex digits, id of the session
--           idle_ms  how long a session lives without being seen, 1 to 9999999999999
--
-- touch is 1 when the session was last seen an hour ago or more: call session_touch then.
--
-- Answer  : n, code, slot, epoch, server, touch, expires_at
-- Answer 2: as _op_refusals (when this shard does not serve all owners)
-- Codes   : ok notfound (no such session, or its user is not live) expired moved notready
-- Touches : SELECT slot_fence (by slot), owner_home, user (by slot and user_id),
--           session (by slot, user_id, session), in one snapshot
-- Errors  : 45400 malformed batch
-- Replays : reads only

DROP PROCEDURE IF EXISTS session_get;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE session_get (
    IN in_ops JSON
)
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v1: are sessions live'
BEGIN
    DECLARE v_now BIGINT DEFAULT _now_ms();
    DECLARE v_n   INT;

    CALL _op_check(in_ops);

    SELECT MIN(j.n)
      INTO v_n
      FROM JSON_TABLE(in_ops, '$[*]' COLUMNS (
               n       FOR ORDINALITY,
               owner   BIGINT UNSIGNED PATH '$.owner',
               session VARCHAR(33) PATH '$.session',
               idle_ms VARCHAR(24) PATH '$.idle_ms'
           )) AS j
     WHERE NOT COALESCE(j.owner > 0
                        AND LENGTH(j.session) = 32
                        AND UNHEX(j.session) IS NOT NULL
                        AND CAST(CAST(j.idle_ms AS UNSIGNED) AS CHAR) = j.idle_ms
                        AND CAST(j.idle_ms AS UNSIGNED) BETWEEN 1 AND 9999999999999, FALSE);

    CALL _op_refuse(v_n, 'owner, session and idle_ms');

    SELECT j.n,
           CASE WHEN u.user_id IS NULL OR s.session IS NULL
                THEN 'notfound'
                WHEN s.expires_at <= v_now OR s.seen_at + j.idle_ms <= v_now
                THEN 'expired'
                ELSE 'ok'
           END AS code,
           f.slot,
           f.epoch,
           f.server,
           s.seen_at + 3600000 <= v_now AS touch,
           s.expires_at
      FROM JSON_TABLE(in_ops, '$[*]' COLUMNS (
               n       FOR ORDINALITY,
               slot    INT UNSIGNED PATH '$.slot',
               epoch   BIGINT UNSIGNED PATH '$.epoch',
               owner   BIGINT UNSIGNED PATH '$.owner',
               session VARCHAR(32) PATH '$.session',
               idle_ms BIGINT PATH '$.idle_ms'
           )) AS j
     STRAIGHT_JOIN slot_fence AS f FORCE INDEX (PRIMARY)
        ON f.slot = j.slot
       AND f.answer = 'ok'
       AND f.epoch >= j.epoch
      LEFT JOIN owner_home AS h FORCE INDEX (PRIMARY)
        ON h.slot = IF(f.has_home = 1, f.slot, NULL)
       AND h.owner_id = j.owner
      LEFT JOIN user AS u FORCE INDEX (PRIMARY)
        ON u.slot = f.slot
       AND u.user_id = j.owner
       AND u.state = 'live'
      LEFT JOIN session AS s FORCE INDEX (PRIMARY)
        ON s.slot = u.slot
       AND s.user_id = u.user_id
       AND s.session = UNHEX(j.session)
     WHERE h.owner_id IS NULL
     ORDER BY j.n;

    IF FOUND_ROWS() < JSON_LENGTH(in_ops) THEN
        CALL _op_refusals(in_ops);
    END IF;
END$$

DELIMITER ;
