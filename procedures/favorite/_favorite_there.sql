-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _favorite_there: make the second halves of likes whose first halves are made in this transaction.
--
-- Handles those that are ok in op_there, as favorite_deliver would; the caller has locked the rows
-- (_favorite_there_lock). An outbox row of an older version has nothing left to deliver. No slot is
-- moving, so nothing needs to be journaled.
--
-- Touches : INSERT, UPDATE liker (by slot, video_id, user_id); UPDATE video, inbound (by slot and
--           id), op_video, op_inbound (the session's own); DELETE outbox (by key); SELECT op,
--           op_there
-- Errors  : none
-- Replays : counts again: once per batch

DROP PROCEDURE IF EXISTS _favorite_there;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _favorite_there ()
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: second halves of likes, with the first'
BEGIN
    INSERT INTO liker (slot, video_id, user_id, state, ver, at)
    SELECT t.slot,
           t.owner,
           t.actor,
           t.state,
           t.ver,
           t.at
      FROM op_there AS t
     WHERE t.code = 'ok'
        ON DUPLICATE KEY UPDATE state = VALUES(state),
                                ver   = VALUES(ver),
                                at    = VALUES(at);

    UPDATE (SELECT t.slot,
                   t.owner,
                   MAX(t.epoch) << 33 AS floor,
                   SUM(t.state - t.was) AS likes
              FROM op_there AS t
             WHERE t.code = 'ok'
             GROUP BY t.slot,
                      t.owner) AS d
     STRAIGHT_JOIN op_video AS m
        ON m.slot = d.slot
       AND m.video_id = d.owner
     STRAIGHT_JOIN video AS v FORCE INDEX (PRIMARY)
        ON v.slot = d.slot
       AND v.video_id = d.owner
       SET m.favorite_count = m.favorite_count + d.likes,
           v.favorite_count = v.favorite_count + d.likes,
           m.ver            = GREATEST(m.ver, d.floor) + 1,
           v.ver            = GREATEST(v.ver, d.floor) + 1;

    UPDATE (SELECT t.slot,
                   t.user_id,
                   MAX(t.epoch) << 33 AS floor,
                   SUM(t.state - t.was) AS likes
              FROM op_there AS t
             WHERE t.code = 'ok'
             GROUP BY t.slot,
                      t.user_id) AS d
     STRAIGHT_JOIN op_inbound AS m
        ON m.slot = d.slot
       AND m.user_id = d.user_id
     STRAIGHT_JOIN inbound AS i FORCE INDEX (PRIMARY)
        ON i.slot = d.slot
       AND i.user_id = d.user_id
       SET m.total_favorited = m.total_favorited + d.likes,
           i.total_favorited = i.total_favorited + d.likes,
           m.ver             = GREATEST(m.ver, d.floor) + 1,
           i.ver             = GREATEST(i.ver, d.floor) + 1;

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
