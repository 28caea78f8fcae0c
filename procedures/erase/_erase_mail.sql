-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _erase_mail: take back what an erased user sent, remove what was delivered and received.
--
-- in_slot     slot of the user; NULL: nothing is done
-- in_user_id  the user, whose row is locked
-- in_moving   1: changes are to be journaled
-- in_peer_id  messages after this peer
-- in_at       and this time only
-- in_limit    at most so many
--
-- Adds an operation per message to op, owner the user, target the peer: kind message (taken
-- back: emptied here, and there through the outbox), mail (removed), wait (the outbox has
-- still to deliver it), and per chat of kind chat (emptied). Chats stay, because their numbers show
-- what was received.
--
-- Touches : SELECT, UPDATE, DELETE message (by slot, user_id, peer_id, at); SELECT, UPDATE chat
--           (by key); SELECT, INSERT, UPDATE outbox (by key); journal
-- Errors  : none
-- Replays : goes on with what is left

DROP PROCEDURE IF EXISTS _erase_mail;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _erase_mail (
    IN in_slot    INT UNSIGNED,
    IN in_user_id BIGINT UNSIGNED,
    IN in_moving  TINYINT,
    IN in_peer_id BIGINT UNSIGNED,
    IN in_at      BIGINT,
    IN in_limit   INT
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: take back and remove messages of an erased user'
BEGIN
    DECLARE v_last INT;
    DECLARE v_now  BIGINT DEFAULT _now_ms();

    SELECT MAX(o.n)
      INTO v_last
      FROM op AS o;

    INSERT INTO op (n, slot, epoch, owner, user_id, moving, kind, target, seq, at, was, ver)
    SELECT ROW_NUMBER() OVER (ORDER BY w.peer_id, w.at) + v_last,
           w.slot,
           0,
           w.user_id,
           w.user_id,
           in_moving,
           CASE WHEN w.sent = 1 AND w.state = 1
                THEN 'message'
                WHEN x.slot IS NULL
                THEN 'mail'
                ELSE 'wait'
           END,
           w.peer_id,
           w.seq,
           w.at,
           1,
           2
      FROM (SELECT m.slot,
                   m.user_id,
                   m.peer_id,
                   m.at,
                   m.sent,
                   m.seq,
                   m.state
              FROM message AS m FORCE INDEX (PRIMARY)
             WHERE m.slot = in_slot
               AND m.user_id = in_user_id
               AND ((m.peer_id = in_peer_id AND m.at > in_at) OR m.peer_id > in_peer_id)
             ORDER BY m.peer_id,
                      m.at
             LIMIT in_limit) AS w
      LEFT JOIN outbox AS x FORCE INDEX (PRIMARY)
        ON x.slot = IF(w.sent = 1, w.slot, NULL)
       AND x.actor_id = w.user_id
       AND x.kind = 'message'
       AND x.target_id = w.peer_id
       AND x.seq = w.seq;

    SELECT MAX(o.n)
      INTO v_last
      FROM op AS o;

    INSERT INTO op (n, slot, epoch, owner, user_id, moving, kind, target)
    SELECT ROW_NUMBER() OVER (ORDER BY w.peer_id) + v_last,
           in_slot,
           0,
           in_user_id,
           in_user_id,
           in_moving,
           'chat',
           w.peer_id
      FROM (SELECT c.peer_id
              FROM chat AS c FORCE INDEX (PRIMARY)
             WHERE c.slot = in_slot
               AND c.user_id = in_user_id
               AND LENGTH(c.last_text) > 0
             ORDER BY c.peer_id
             LIMIT in_limit) AS w;

    UPDATE op AS o
     STRAIGHT_JOIN message AS m FORCE INDEX (PRIMARY)
        ON m.slot = o.slot
       AND m.user_id = o.owner
       AND m.peer_id = o.target
       AND m.at = o.at
       SET m.state = 0,
           m.text  = ''
     WHERE o.kind = 'message';

    DELETE m
      FROM op AS o
     STRAIGHT_JOIN message AS m FORCE INDEX (PRIMARY)
        ON m.slot = o.slot
       AND m.user_id = o.owner
       AND m.peer_id = o.target
       AND m.at = o.at
     WHERE o.kind = 'mail';

    UPDATE op AS o
     STRAIGHT_JOIN chat AS c FORCE INDEX (PRIMARY)
        ON c.slot = o.slot
       AND c.user_id = o.owner
       AND c.peer_id = o.target
       SET c.last_text = '',
           c.last_sent = 0
     WHERE o.kind = 'chat';

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
     WHERE o.kind = 'message'
     ORDER BY o.target,
              o.seq
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
               o.target,
               CASE t.tbl
                    WHEN 'outbox'
                    THEN o.seq
                    WHEN 'message'
                    THEN o.at
               END,
               IF(t.tbl = 'outbox', o.kind, NULL)
          FROM op AS o
          JOIN (SELECT 'message' AS kind, 'message' AS tbl
                 UNION ALL
                SELECT 'message', 'outbox'
                 UNION ALL
                SELECT 'mail', 'message'
                 UNION ALL
                SELECT 'chat', 'chat') AS t
            ON t.kind = o.kind;
    END IF;
END$$

DELIMITER ;
