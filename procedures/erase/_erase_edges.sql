-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _erase_edges: make tombstones of what an erased user follows and likes.
--
-- in_slot     slot of the user; NULL: nothing is done
-- in_user_id  the user, whose row is locked
-- in_moving   1: changes are to be journaled
-- in_limit    at most so many of each kind
--
-- They get new versions, so that they win at the other end, to which the outbox delivers them. Adds
-- operations of kind follow and favorite to op, for _op_user_change to count.
--
-- Touches : SELECT, UPDATE follow, favorite (by slot, user_id, state, ver); INSERT, UPDATE outbox
--           (by key); journal
-- Errors  : none
-- Replays : goes on with what is left

DROP PROCEDURE IF EXISTS _erase_edges;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _erase_edges (
    IN in_slot    INT UNSIGNED,
    IN in_user_id BIGINT UNSIGNED,
    IN in_moving  TINYINT,
    IN in_limit   INT
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: tombstones of what an erased user follows and likes'
BEGIN
    DECLARE v_last  INT;
    DECLARE v_epoch BIGINT UNSIGNED;
    DECLARE v_from  BIGINT UNSIGNED;
    DECLARE v_now   BIGINT DEFAULT _now_ms();

    SELECT MAX(o.n),
           MAX(o.epoch),
           GREATEST(MAX(m.edge_ver), MAX(o.epoch) << 33)
      INTO v_last,
           v_epoch,
           v_from
      FROM op AS o
      LEFT JOIN op_user AS m
        ON m.slot = in_slot
       AND m.user_id = in_user_id;

    INSERT INTO op (n, slot, epoch, owner, user_id, moving, kind, target, was, place, ver)
    SELECT ROW_NUMBER() OVER (ORDER BY e.ver) + v_last,
           e.slot,
           v_epoch,
           e.user_id,
           e.user_id,
           in_moving,
           'follow',
           e.followed_id,
           1,
           ROW_NUMBER() OVER (ORDER BY e.ver) + v_last,
           ROW_NUMBER() OVER (ORDER BY e.ver) + v_last + v_from
      FROM (SELECT t.slot,
                   t.user_id,
                   t.followed_id,
                   t.ver
              FROM follow AS t FORCE INDEX (newest)
             WHERE t.slot = in_slot
               AND t.user_id = in_user_id
               AND t.state = 1
             ORDER BY t.ver
             LIMIT in_limit) AS e;

    UPDATE op AS o
     STRAIGHT_JOIN follow AS e FORCE INDEX (PRIMARY)
        ON e.slot = o.slot
       AND e.user_id = o.owner
       AND e.followed_id = o.target
       SET e.state = 0,
           e.ver   = o.ver,
           e.at    = v_now
     WHERE o.kind = 'follow';

    SELECT MAX(o.n)
      INTO v_last
      FROM op AS o;

    INSERT INTO op (n, slot, epoch, owner, user_id, moving, kind, target, was, place, ver)
    SELECT ROW_NUMBER() OVER (ORDER BY e.ver) + v_last,
           e.slot,
           v_epoch,
           e.user_id,
           e.user_id,
           in_moving,
           'favorite',
           e.video_id,
           1,
           ROW_NUMBER() OVER (ORDER BY e.ver) + v_last,
           ROW_NUMBER() OVER (ORDER BY e.ver) + v_last + v_from
      FROM (SELECT t.slot,
                   t.user_id,
                   t.video_id,
                   t.ver
              FROM favorite AS t FORCE INDEX (newest)
             WHERE t.slot = in_slot
               AND t.user_id = in_user_id
               AND t.state = 1
             ORDER BY t.ver
             LIMIT in_limit) AS e;

    UPDATE op AS o
     STRAIGHT_JOIN favorite AS e FORCE INDEX (PRIMARY)
        ON e.slot = o.slot
       AND e.user_id = o.owner
       AND e.video_id = o.target
       SET e.state = 0,
           e.ver   = o.ver,
           e.at    = v_now
     WHERE o.kind = 'favorite';

    INSERT INTO outbox (slot, actor_id, kind, target_id, seq, ver, at, due_at)
    SELECT o.slot,
           o.owner,
           o.kind,
           o.target,
           0,
           o.ver,
           v_now,
           v_now
      FROM op AS o
     WHERE o.kind IN ('follow', 'favorite')
     ORDER BY o.kind,
              o.target
        ON DUPLICATE KEY UPDATE ver      = VALUES(ver),
                                at       = VALUES(at),
                                due_at   = VALUES(due_at),
                                attempts = 0,
                                parked   = 0;

    IF in_moving THEN
        INSERT INTO slot_log (slot, tbl, owner, k1, k2, k3, ks)
        SELECT o.slot,
               t.tbl,
               o.user_id,
               o.owner,
               IF(t.tbl = 'user', NULL, o.target),
               IF(t.tbl = 'outbox', 0, NULL),
               IF(t.tbl = 'outbox', o.kind, NULL)
          FROM op AS o
          JOIN (SELECT 'follow' AS tbl
                 UNION ALL
                SELECT 'favorite'
                 UNION ALL
                SELECT 'outbox'
                 UNION ALL
                SELECT 'user') AS t
            ON t.tbl IN (o.kind, 'outbox', 'user')
         WHERE o.kind IN ('follow', 'favorite');
    END IF;
END$$

DELIMITER ;
