-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- outbox_list: second halves that are still to be delivered, with all that is needed for it.
--
-- in_limit     at most so many, 1 to 1000
-- in_older_ms  only those that have been due for so long, 0 to 86400000: younger ones are
--              being delivered by whoever wrote them
--
-- Of the slots that this shard serves, the longest due first. A message that is due brings
-- all that wait in its chat along, however young or put off, in the order of seq: one that
-- was late would else make all that follow late, too. Of one chat the first in_limit are
-- looked at; the others wait for those, and keep nobody else waiting. Parked rows are left
-- out. owner, kind,
-- target, seq and ver are as outbox_done wants them (comment: owner is the video, target its
-- author, seq the comment_id); state and at are those of the edge (comment: 1 posted, 0
-- deleted; message: 1 sent, 0 taken back); text, message_id and op (32 hex digits) those of a
-- message. Columns that a kind does not have are NULL. behind: what is the first of its chat
-- that waits before it, 0 nothing, 1 a message that is not parked, 2 one that is parked.
--
-- Answer  : slot, epoch, owner, kind, target, seq, ver, state, at, attempts, text,
--           message_id, op, behind
-- Touches : SELECT outbox (by parked and due_at), slot_fence, owner_home, follow, favorite,
--           comment (by key), message (by slot, user_id, peer_id, sent, seq), in one snapshot
-- Errors  : 45400 an argument is NULL or out of range
-- Replays : reads only

DROP PROCEDURE IF EXISTS outbox_list;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE outbox_list (
    IN in_limit    INT,
    IN in_older_ms BIGINT
)
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v2: second halves that are still to be delivered'
BEGIN
    DECLARE v_until BIGINT DEFAULT _now_ms() - in_older_ms;

    IF NOT COALESCE(in_limit BETWEEN 1 AND 1000
                    AND in_older_ms BETWEEN 0 AND 86400000, FALSE) THEN
        SIGNAL SQLSTATE '45400'
           SET MESSAGE_TEXT = 'outbox_list needs limit 1 to 1000, older_ms 0 to 86400000';
    END IF;

    SELECT d.slot,
           d.epoch,
           d.actor_id AS owner,
           d.kind,
           d.target_id AS target,
           d.seq,
           d.ver,
           CASE d.kind
                WHEN 'follow'
                THEN fo.state
                WHEN 'favorite'
                THEN fa.state
                WHEN 'comment'
                THEN IF(d.ver = 1, 1, 0)
                WHEN 'message'
                THEN m.state
           END AS state,
           CASE d.kind
                WHEN 'follow'
                THEN fo.at
                WHEN 'favorite'
                THEN fa.at
                ELSE d.at
           END AS at,
           d.attempts,
           m.text,
           m.message_id,
           LOWER(HEX(m.op)) AS op,
           COALESCE((SELECT b.parked + 1
                       FROM outbox AS b FORCE INDEX (PRIMARY)
                      WHERE b.slot = IF(d.kind = 'message', d.slot, NULL)
                        AND b.actor_id = d.actor_id
                        AND b.kind = d.kind
                        AND b.target_id = d.target_id
                        AND b.seq < d.seq
                      ORDER BY b.seq
                      LIMIT 1), 0) AS behind
      FROM (SELECT x.slot,
                   g.epoch,
                   x.actor_id,
                   x.kind,
                   x.target_id,
                   x.seq,
                   x.ver,
                   x.at,
                   g.due_at,
                   x.attempts
              FROM (SELECT w.slot,
                           w.epoch,
                           w.actor_id,
                           w.kind,
                           w.target_id,
                           MIN(w.due_at) AS due_at,
                           COALESCE((SELECT b.seq
                                       FROM outbox AS b FORCE INDEX (PRIMARY)
                                      WHERE b.slot = IF(w.kind = 'message', w.slot, NULL)
                                        AND b.actor_id = w.actor_id
                                        AND b.kind = w.kind
                                        AND b.target_id = w.target_id
                                      ORDER BY b.seq
                                      LIMIT 1), MIN(w.seq)) AS first,
                           IF(w.kind = 'message', in_limit, 1) AS width
                      FROM (SELECT x.slot,
                                   f.epoch,
                                   x.actor_id,
                                   x.kind,
                                   x.target_id,
                                   x.seq,
                                   x.due_at
                              FROM outbox AS x FORCE INDEX (due)
                             STRAIGHT_JOIN slot_fence AS f FORCE INDEX (PRIMARY)
                                ON f.slot = x.slot
                               AND f.answer = 'ok'
                              LEFT JOIN owner_home AS h FORCE INDEX (PRIMARY)
                                ON h.slot = IF(f.has_home = 1, x.slot, NULL)
                               AND h.owner_id = x.actor_id
                             WHERE x.parked = 0
                               AND x.due_at <= v_until
                               AND h.owner_id IS NULL
                               AND x.seq < COALESCE((SELECT b.seq
                                                       FROM outbox AS b FORCE INDEX (PRIMARY)
                                                      WHERE b.slot = IF(x.kind = 'message',
                                                                        x.slot, NULL)
                                                        AND b.actor_id = x.actor_id
                                                        AND b.kind = x.kind
                                                        AND b.target_id = x.target_id
                                                      ORDER BY b.seq
                                                      LIMIT 1), x.seq) + in_limit
                             ORDER BY x.due_at
                             LIMIT in_limit) AS w
                     GROUP BY w.slot,
                              w.epoch,
                              w.actor_id,
                              w.kind,
                              w.target_id,
                              IF(w.kind = 'message', 0, w.seq)) AS g
             STRAIGHT_JOIN outbox AS x FORCE INDEX (PRIMARY)
                ON x.slot = g.slot
               AND x.actor_id = g.actor_id
               AND x.kind = g.kind
               AND x.target_id = g.target_id
               AND x.seq BETWEEN g.first AND g.first + g.width - 1
             WHERE x.parked = 0
             ORDER BY g.due_at,
                      x.slot,
                      x.actor_id,
                      x.kind,
                      x.target_id,
                      x.seq
             LIMIT in_limit) AS d
      LEFT JOIN follow AS fo FORCE INDEX (PRIMARY)
        ON fo.slot = IF(d.kind = 'follow', d.slot, NULL)
       AND fo.user_id = d.actor_id
       AND fo.followed_id = d.target_id
      LEFT JOIN favorite AS fa FORCE INDEX (PRIMARY)
        ON fa.slot = IF(d.kind = 'favorite', d.slot, NULL)
       AND fa.user_id = d.actor_id
       AND fa.video_id = d.target_id
      LEFT JOIN message AS m FORCE INDEX (seq)
        ON m.slot = IF(d.kind = 'message', d.slot, NULL)
       AND m.user_id = d.actor_id
       AND m.peer_id = d.target_id
       AND m.sent = 1
       AND m.seq = d.seq
     ORDER BY d.due_at,
              d.slot,
              d.actor_id,
              d.kind,
              d.target_id,
              d.seq;
END$$

DELIMITER ;
