-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- relation_deliver: the second half of a follow or unfollow, at the user who is followed.
--
-- in_ops  batch; owner is that user; each operation has
--           actor  who follows, another user
--           state  1: follows; 0: does not
--           ver    version that relation_action gave to the edge
--           at     its time, ms since the Unix epoch
--
-- Applied only when the version is newer than that of the row, so that it may be called
-- twice and out of order. At most one operation per edge.
--
-- Answer  : n, code, slot, epoch, server
-- Codes   : ok same (not newer) notfound (no live user) moved notready
-- Touches : SELECT, UPDATE user (by slot and user_id); SELECT, INSERT, UPDATE follower (by slot,
--           user_id, follower_id); journal
-- Errors  : 45400 malformed batch, or two operations on one edge
-- Replays : same. Counters change by what the row was and is, both under the lock of the
--           owner.

DROP PROCEDURE IF EXISTS relation_deliver;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE relation_deliver (
    IN in_ops JSON
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: second half of a follow'
BEGIN
    DECLARE v_n      INT;
    DECLARE v_moving TINYINT;

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    CALL _op_open(in_ops);

    UPDATE JSON_TABLE(in_ops, '$[*]' COLUMNS (
               n     FOR ORDINALITY,
               actor BIGINT UNSIGNED PATH '$.actor',
               state VARCHAR(2) PATH '$.state',
               ver   BIGINT UNSIGNED PATH '$.ver',
               at    BIGINT PATH '$.at'
           )) AS j
     STRAIGHT_JOIN op AS o
        ON o.n = j.n
       SET o.target = COALESCE(j.actor, 0),
           o.state  = IF(j.state IN ('0', '1'), j.state, -1),
           o.ver    = COALESCE(j.ver, 0),
           o.at     = COALESCE(j.at, -1);

    SELECT MIN(o.n)
      INTO v_n
      FROM op AS o
     WHERE o.owner = 0
        OR o.target = 0
        OR o.target = o.owner
        OR o.state = -1
        OR o.ver = 0
        OR o.at < 0;

    CALL _op_refuse(v_n, 'owner, another actor, state 0 or 1, ver, at');
    CALL _op_distinct();
    CALL _op_place();

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    CALL _op_fence();
    CALL _op_user_lock();

    UPDATE op AS o
      LEFT JOIN follower AS e FORCE INDEX (PRIMARY)
        ON e.slot = o.slot
       AND e.user_id = o.owner
       AND e.follower_id = o.target
       SET o.code = IF(o.ver > COALESCE(e.ver, 0), 'ok', 'same'),
           o.was  = COALESCE(e.state, 0)
     WHERE o.code = 'ok';

    INSERT INTO follower (slot, user_id, follower_id, state, ver, at, pos)
    SELECT o.slot,
           o.owner,
           o.target,
           o.state,
           o.ver,
           o.at,
           u.edge_ver + o.place
      FROM op AS o
     STRAIGHT_JOIN user AS u FORCE INDEX (PRIMARY)
        ON u.slot = o.slot
       AND u.user_id = o.owner
     WHERE o.code = 'ok'
        ON DUPLICATE KEY UPDATE state = VALUES(state),
                                ver   = VALUES(ver),
                                at    = VALUES(at),
                                pos   = VALUES(pos);

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
       SET u.follower_count = u.follower_count + d.delta,
           u.edge_ver       = u.edge_ver + d.place,
           u.ver            = u.ver + 1;


    SELECT MAX(o.moving)
      INTO v_moving
      FROM op AS o
     WHERE o.code = 'ok';

    IF v_moving THEN
        CALL _slot_log_add_ops('follower');
        CALL _slot_log_add_ops('user');
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
