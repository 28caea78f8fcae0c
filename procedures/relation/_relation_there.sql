-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _relation_there: make the second halves of follows whose first halves are made in this
-- transaction.
--
-- Handles those that are ok in op_there, as relation_deliver would; the caller has locked the rows
-- (_relation_there_lock). An outbox row of an older version has nothing left to deliver. No slot is
-- moving, so nothing needs to be journaled.
--
-- Touches : INSERT, UPDATE follower (by slot, user_id, follower_id); UPDATE inbound (by slot and
--           user_id), op_inbound (the session's own); DELETE outbox (by key); SELECT op, op_there
-- Errors  : none
-- Replays : counts again: once per batch

DROP PROCEDURE IF EXISTS _relation_there;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _relation_there ()
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: second halves of follows, with the first'
BEGIN
    -- The list of followers is numbered in the order of the operations.
    INSERT INTO follower (slot, user_id, follower_id, state, ver, at, pos)
    SELECT t.slot,
           t.owner,
           t.actor,
           t.state,
           t.ver,
           t.at,
           GREATEST(i.follower_ver, t.epoch << 33)
               + ROW_NUMBER() OVER (PARTITION BY t.slot, t.owner ORDER BY t.n)
      FROM op_there AS t
     STRAIGHT_JOIN op_inbound AS i
        ON i.slot = t.slot
       AND i.user_id = t.owner
     WHERE t.code = 'ok'
        ON DUPLICATE KEY UPDATE state = VALUES(state),
                                ver   = VALUES(ver),
                                at    = VALUES(at),
                                pos   = VALUES(pos);

    UPDATE (SELECT t.slot,
                   t.owner,
                   MAX(t.epoch) << 33 AS floor,
                   SUM(t.state - t.was) AS followers,
                   COUNT(*) AS places
              FROM op_there AS t
             WHERE t.code = 'ok'
             GROUP BY t.slot,
                      t.owner) AS d
     STRAIGHT_JOIN op_inbound AS m
        ON m.slot = d.slot
       AND m.user_id = d.owner
     STRAIGHT_JOIN inbound AS i FORCE INDEX (PRIMARY)
        ON i.slot = d.slot
       AND i.user_id = d.owner
       SET m.follower_count = m.follower_count + d.followers,
           i.follower_count = i.follower_count + d.followers,
           m.ver            = GREATEST(m.ver, d.floor) + 1,
           i.ver            = GREATEST(i.ver, d.floor) + 1,
           m.follower_ver   = GREATEST(m.follower_ver, d.floor) + d.places,
           i.follower_ver   = GREATEST(i.follower_ver, d.floor) + d.places;

    DELETE x
      FROM op AS o
     STRAIGHT_JOIN outbox AS x FORCE INDEX (PRIMARY)
        ON x.slot = o.slot
       AND x.actor_id = o.owner
       AND x.kind = o.kind
       AND x.target_id = o.target
       AND x.seq = 0
     WHERE o.code = 'ok'
       AND o.prev > 0;
END$$

DELIMITER ;
