-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- outbox_list: second halves still to be delivered to one shard, with everything needed for that.
--
-- in_slots     array of the slots of their targets (0 to 1023, each once, at most 1024): those of
--              the shard to which they must be delivered
-- in_limit     at most so many, 1 to 1000
-- in_older_ms  only those due for at least this long, 0 to 86400000: younger ones are being
--              delivered by their writers
--
-- From the slots that this shard serves; target slot by target slot in the order of in_slots, the
-- longest due first in each: a caller that begins after the last slot of a full list is fair to all
-- of them. Rows for other slots, parked rows, and messages after another waiting one of their chat
-- are not read. As far as there is room each first message is followed by the later ones of its
-- chat, without a gap, in the order of seq, however young: otherwise one late message would delay
-- all later ones. owner, kind, target, seq and ver are as outbox_done wants them (comment: owner is
-- the video, target its author, seq the comment_id); state and at are those of the edge (comment: 1
-- posted, 0 deleted; message: 1 sent, 0 taken back); text, message_id and op (32 hex digits) those
-- of a message, prev the id of the one before it. Columns that a kind does not have are NULL. head:
-- 0: it stands behind the message before it.
--
-- Answer  : slot, epoch, owner, kind, target, seq, ver, state, at, attempts, text,
--           message_id, op, prev, head
-- Touches : SELECT outbox (by parked, head, target_slot and due_at; by key), slot_fence,
--           owner_home, follow, favorite (by key), message (by slot, user_id, peer_id, sent,
--           seq), in one snapshot
-- Errors  : 45400 an argument is NULL or out of range
-- Replays : reads only

DROP PROCEDURE IF EXISTS outbox_list;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE outbox_list (
    IN in_slots    JSON,
    IN in_limit    INT,
    IN in_older_ms BIGINT
)
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v3: second halves that are still to be delivered'
BEGIN
    DECLARE v_until BIGINT DEFAULT _now_ms() - in_older_ms;

    IF NOT COALESCE(JSON_VALID(in_slots)
                    AND JSON_TYPE(in_slots) = 'ARRAY'
                    AND JSON_LENGTH(in_slots) BETWEEN 1 AND 1024
                    AND in_limit BETWEEN 1 AND 1000
                    AND in_older_ms BETWEEN 0 AND 86400000, FALSE) THEN
        SIGNAL SQLSTATE '45400'
           SET MESSAGE_TEXT = 'outbox_list needs slots, limit 1 to 1000, older_ms 0 to 86400000';
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
           IF(m.state = 0, '', m.text) AS text,
           m.message_id,
           LOWER(HEX(m.op)) AS op,
           b.message_id AS prev,
           d.head
      FROM (SELECT DISTINCT
                   x.slot,
                   g.epoch,
                   x.actor_id,
                   x.kind,
                   x.target_id,
                   x.seq,
                   x.ver,
                   x.at,
                   x.attempts,
                   x.head
              FROM (SELECT w.slot,
                           w.epoch,
                           w.actor_id,
                           w.kind,
                           w.target_id,
                           w.seq,
                           IF(w.kind = 'message', in_limit DIV COUNT(*) OVER (), 1) AS width
                      FROM (SELECT x.slot,
                                   f.epoch,
                                   x.actor_id,
                                   x.kind,
                                   x.target_id,
                                   x.seq
                              FROM JSON_TABLE(in_slots, '$[*]' COLUMNS (
                                       slot SMALLINT UNSIGNED PATH '$'
                                   )) AS j
                             STRAIGHT_JOIN outbox AS x FORCE INDEX (due)
                                ON x.parked = 0
                               AND x.head = 1
                               AND x.target_slot = j.slot
                               AND x.due_at <= v_until
                             STRAIGHT_JOIN slot_fence AS f FORCE INDEX (PRIMARY)
                                ON f.slot = x.slot
                               AND f.answer = 'ok'
                              LEFT JOIN owner_home AS h FORCE INDEX (PRIMARY)
                                ON h.slot = IF(f.has_home = 1, x.slot, NULL)
                               AND h.owner_id = x.actor_id
                             WHERE h.owner_id IS NULL
                             LIMIT in_limit) AS w) AS g
             STRAIGHT_JOIN JSON_TABLE(CONCAT('[0', REPEAT(',0', g.width - 1), ']'),
                                      '$[*]' COLUMNS (place FOR ORDINALITY)) AS p
             STRAIGHT_JOIN outbox AS x FORCE INDEX (PRIMARY)
                ON x.slot = g.slot
               AND x.actor_id = g.actor_id
               AND x.kind = g.kind
               AND x.target_id = g.target_id
               AND x.seq = g.seq + p.place - 1
             WHERE x.parked = 0
               AND x.head = (p.place = 1)) AS d
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
      LEFT JOIN message AS b FORCE INDEX (seq)
        ON b.slot = IF(d.kind = 'message', d.slot, NULL)
       AND b.user_id = d.actor_id
       AND b.peer_id = d.target_id
       AND b.sent = 1
       AND b.seq = GREATEST(d.seq, 1) - 1
     ORDER BY d.slot,
              d.actor_id,
              d.kind,
              d.target_id,
              d.seq;
END$$

DELIMITER ;
