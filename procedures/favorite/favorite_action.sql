-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- favorite_action: likes and unlikes, at the user who likes.
--
-- in_ops  batch; owner is the user; each operation has
--           target  video
--           state   1: like; 0: unlike
--
-- The first half of the edge; the outbox remembers that the second, favorite_deliver, is
-- to be made. At most one operation per edge.
--
-- Answer  : n, code, slot, epoch, server, ver (of the edge; 0: there never was one), at (its
--           time), pending (1: the second half with that version is still to be made)
-- Codes   : ok same (the edge was like that) notfound (the user is no live user) moved notready
-- Touches : SELECT, UPDATE user (by slot and user_id); SELECT, INSERT, UPDATE favorite (by slot,
--           user_id, video_id); INSERT, UPDATE outbox (by key); journal
-- Errors  : 45400 malformed batch, or two operations on one edge
-- Replays : same, with the version of the first time; pending says whether its second half
--           is still to be made. The old state is read under the lock of the user, so that
--           two racing requests cannot both count.

DROP PROCEDURE IF EXISTS favorite_action;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE favorite_action (
    IN in_ops JSON
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: like and unlike videos'
BEGIN
    DECLARE v_n      INT;
    DECLARE v_moving TINYINT;
    DECLARE v_now    BIGINT;

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    CALL _op_open(in_ops);

    UPDATE JSON_TABLE(in_ops, '$[*]' COLUMNS (
               n      FOR ORDINALITY,
               target BIGINT UNSIGNED PATH '$.target',
               state  VARCHAR(2) PATH '$.state'
           )) AS j
     STRAIGHT_JOIN op AS o
        ON o.n = j.n
       SET o.kind   = 'favorite',
           o.target = COALESCE(j.target, 0),
           o.state  = IF(j.state IN ('0', '1'), j.state, -1);

    SELECT MIN(o.n)
      INTO v_n
      FROM op AS o
     WHERE o.owner = 0
        OR o.target = 0
        OR o.state = -1;

    CALL _op_refuse(v_n, 'owner, target and state 0 or 1');
    CALL _op_distinct();
    CALL _op_place();

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    CALL _op_fence();
    CALL _op_user_lock();

    -- What the edges are. An absent one is like a tombstone.
    UPDATE op AS o
     STRAIGHT_JOIN user AS u FORCE INDEX (PRIMARY)
        ON u.slot = o.slot
       AND u.user_id = o.owner
      LEFT JOIN favorite AS e FORCE INDEX (PRIMARY)
        ON e.slot = o.slot
       AND e.user_id = o.owner
       AND e.video_id = o.target
       SET o.code = IF(o.state = COALESCE(e.state, 0), 'same', 'ok'),
           o.was  = COALESCE(e.state, 0),
           o.ver  = IF(o.state = COALESCE(e.state, 0), COALESCE(e.ver, 0), u.edge_ver + o.place),
           o.at   = COALESCE(e.at, 0)
     WHERE o.code = 'ok';

    SET v_now = _now_ms();

    INSERT INTO favorite (slot, user_id, video_id, state, ver, at)
    SELECT o.slot,
           o.owner,
           o.target,
           o.state,
           o.ver,
           v_now
      FROM op AS o
     WHERE o.code = 'ok'
        ON DUPLICATE KEY UPDATE state = VALUES(state),
                                ver   = VALUES(ver),
                                at    = VALUES(at);

    INSERT INTO outbox (slot, actor_id, kind, target_id, seq, ver, at, due_at)
    SELECT o.slot,
           o.owner,
           o.kind,
           o.target,
           o.seq,
           o.ver,
           v_now,
           v_now
      FROM op AS o
     WHERE o.code = 'ok'
     ORDER BY o.slot,
              o.owner,
              o.target
        ON DUPLICATE KEY UPDATE ver      = VALUES(ver),
                                at       = VALUES(at),
                                due_at   = VALUES(due_at),
                                attempts = 0,
                                parked   = 0;

    UPDATE (SELECT o.slot,
                   o.owner,
                   MAX(o.place) AS place,
                   SUM(o.state - o.was) AS delta
              FROM op AS o
             WHERE o.code = 'ok'
             GROUP BY o.slot,
                      o.owner) AS d
     STRAIGHT_JOIN user AS u FORCE INDEX (PRIMARY)
        ON u.slot = d.slot
       AND u.user_id = d.owner
       SET u.favorite_count = u.favorite_count + d.delta,
           u.edge_ver       = u.edge_ver + d.place,
           u.ver            = u.ver + 1;

    SELECT MAX(o.moving)
      INTO v_moving
      FROM op AS o
     WHERE o.code = 'ok';

    IF v_moving THEN
        CALL _slot_log_add_ops('favorite');
        CALL _slot_log_add_ops('outbox');
        CALL _slot_log_add_ops('user');
    END IF;

    COMMIT;

    SELECT o.n,
           o.code,
           o.slot,
           o.epoch,
           o.server,
           IF(o.code IN ('ok', 'same'), o.ver, NULL) AS ver,
           CASE o.code
                WHEN 'ok'
                THEN v_now
                WHEN 'same'
                THEN o.at
           END AS at,
           CASE o.code
                WHEN 'ok'
                THEN 1
                WHEN 'same'
                THEN x.ver IS NOT NULL
           END AS pending
      FROM op AS o
      LEFT JOIN outbox AS x FORCE INDEX (PRIMARY)
        ON x.slot = IF(o.code = 'same', o.slot, NULL)
       AND x.actor_id = o.owner
       AND x.kind = o.kind
       AND x.target_id = o.target
       AND x.seq = o.seq
       AND x.ver = o.ver
     ORDER BY o.n;
END$$

DELIMITER ;
