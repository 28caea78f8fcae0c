-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- message_action: messages, in the mailbox of the sender.
--
-- in_ops  batch; owner is the sender; each operation has
--           peer  the receiver, another user
--           op    32 hex digits, idempotency key
--           text  1 to 1000 characters
--
-- seq is the number of the message in its direction, without gaps; at its time in this
-- mailbox, later than that of every message in it. The id is minted from user.message_last
-- and unique per sender. The outbox keeps the second half, message_deliver. At most one operation
-- per chat.
--
-- Answer  : n, code, slot, epoch, server, message_id, seq, at (ms since the Unix epoch),
--           text (for same: the stored one, also for the second half), prev (id of the
--           message before it in its direction, 0: none), pending (1: the second half must still be
--           made)
-- Answer 2: as _op_user_answer
-- Codes   : ok same mismatch (the op was used for another peer) notfound (no live sender, or
--           the message was undone since) moved notready
-- Touches : SELECT, UPDATE user (by slot and user_id); SELECT, INSERT message (by slot,
--           user_id, op); SELECT, INSERT, UPDATE chat (by key); SELECT (share lock), INSERT
--           outbox (by key); journal
-- Errors  : 45400 malformed batch, or two operations in one chat   45503 the clock is beyond
--           the 40 bits of an id
-- Replays : same with id, seq, time and text of the first one. The text of the replay is
--           not used: words may be masked in one and not in the other, when their list has
--           changed in between. The op is looked for under the lock of the sender.

DROP PROCEDURE IF EXISTS message_action;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE message_action (
    IN in_ops JSON
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v3 serves v2: send messages'
BEGIN
    DECLARE v_moving TINYINT;
    DECLARE v_now    BIGINT;
    DECLARE v_last   BIGINT;

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    CALL _op_begin(in_ops);

    INSERT INTO op (n, slot, epoch, owner, user_id, kind, target, op, ver)
    SELECT j.n,
           j.slot,
           j.epoch,
           j.owner,
           j.owner,
           'message',
           j.peer,
           UNHEX(j.op),
           1
      FROM JSON_TABLE(in_ops, '$[*]' COLUMNS (
               n          FOR ORDINALITY,
               slot       INT UNSIGNED PATH '$.slot',
               slot_text  VARCHAR(24) PATH '$.slot',
               epoch      BIGINT UNSIGNED PATH '$.epoch',
               epoch_text VARCHAR(24) PATH '$.epoch',
               owner      BIGINT UNSIGNED PATH '$.owner',
               owner_text VARCHAR(24) PATH '$.owner',
               peer       BIGINT UNSIGNED PATH '$.peer',
               peer_text  VARCHAR(24) PATH '$.peer',
               op         VARCHAR(33) PATH '$.op',
               text       VARCHAR(1001) PATH '$.text'
           )) AS j
     WHERE CONCAT(j.slot, ',', j.epoch, ',', j.owner, ',', j.peer)
           = CONCAT(j.slot_text, ',', j.epoch_text, ',', j.owner_text, ',', j.peer_text)
       AND j.owner > 0
       AND j.peer > 0
       AND j.peer <> j.owner
       AND LENGTH(j.op) = 32
       AND UNHEX(j.op) IS NOT NULL
       AND CHAR_LENGTH(j.text) BETWEEN 1 AND 1000;

    CALL _op_opened(in_ops, ROW_COUNT(),
                    'owner, another peer, op and text of 1 to 1000 characters');

    CALL _op_texts(in_ops);

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    CALL _op_fence(v_moving);
    CALL _op_user_lock();

    -- The chats first, so that sending and receiving in the same chat wait for each other.
    INSERT INTO chat (slot, user_id, peer_id)
    SELECT o.slot,
           o.owner,
           o.target
      FROM op AS o
     STRAIGHT_JOIN op_user AS i
        ON i.slot = o.slot
       AND i.user_id = o.owner
       AND i.state = 'live'
     WHERE o.code = 'ok'
     ORDER BY o.slot,
              o.owner,
              o.target
        ON DUPLICATE KEY UPDATE peer_id = VALUES(peer_id);

    SET v_now = _now_ms();

    -- Existing messages; for new ones the numbers of ids, for now in id, follow those of their
    -- sender, seq and time those of their chat.
    UPDATE op AS o
      LEFT JOIN op_user AS u
        ON u.slot = o.slot
       AND u.user_id = o.owner
       AND u.state = 'live'
      LEFT JOIN message AS m FORCE INDEX (op)
        ON m.slot = u.slot
       AND m.user_id = o.owner
       AND m.op = o.op
      LEFT JOIN chat AS c FORCE INDEX (PRIMARY)
        ON c.slot = u.slot
       AND c.user_id = o.owner
       AND c.peer_id = o.target
      LEFT JOIN outbox AS x FORCE INDEX (PRIMARY)
        ON x.slot = m.slot
       AND x.actor_id = o.owner
       AND x.kind = o.kind
       AND x.target_id = o.target
       AND x.seq = m.seq
       AND x.ver = o.ver
      LEFT JOIN message AS p FORCE INDEX (seq)
        ON p.slot = u.slot
       AND p.user_id = o.owner
       AND p.peer_id = o.target
       AND p.sent = 1
       AND p.seq = COALESCE(m.seq, c.sent_seq + 1, 1) - 1
       SET o.code    = CASE WHEN u.user_id IS NULL
                            THEN 'notfound'
                            WHEN m.message_id IS NULL
                            THEN 'ok'
                            WHEN m.peer_id <> o.target OR m.sent <> 1
                            THEN 'mismatch'
                            WHEN m.state = 1
                            THEN 'same'
                            ELSE 'notfound'
                       END,
           o.id      = COALESCE(m.message_id,
                                GREATEST((v_now - 1735689600000) * 8,
                                         COALESCE(u.message_last, 0) + 1) + o.place - 1),
           o.seq     = COALESCE(m.seq, c.sent_seq + 1, 1),
           o.prev    = COALESCE(p.message_id, 0),
           o.at      = COALESCE(m.at, GREATEST(v_now, COALESCE(c.last_at, 0) + 1)),
           o.pending = m.message_id IS NULL OR x.ver IS NOT NULL
     WHERE o.code = 'ok';

    SELECT MAX(o.id)
      INTO v_last
      FROM op AS o
     WHERE o.code = 'ok';

    IF v_last >= 8796093022208 THEN
        SIGNAL SQLSTATE '45503' SET MESSAGE_TEXT = 'no ids left: is the clock of this shard right?';
    END IF;

    UPDATE (SELECT o.slot,
                   o.owner,
                   MAX(o.id) AS last
              FROM op AS o
             WHERE o.code = 'ok'
             GROUP BY o.slot,
                      o.owner) AS d
     STRAIGHT_JOIN user AS u FORCE INDEX (PRIMARY)
        ON u.slot = d.slot
       AND u.user_id = d.owner
       SET u.message_last = d.last;

    UPDATE op AS o
       SET o.id = (o.id DIV 8) * 8192 + (o.owner DIV 8 MOD 1024) * 8 + o.id MOD 8
     WHERE o.code = 'ok';

    INSERT INTO message (slot, user_id, peer_id, at, message_id, sent, seq, text, op)
    SELECT o.slot,
           o.owner,
           o.target,
           o.at,
           o.id,
           1,
           o.seq,
           t.text,
           o.op
      FROM op AS o
     STRAIGHT_JOIN op_text AS t
        ON t.n = o.n
     WHERE o.code = 'ok';

    INSERT INTO chat (slot, user_id, peer_id, sent_seq, last_at, last_text, last_sent)
    SELECT o.slot,
           o.owner,
           o.target,
           o.seq,
           o.at,
           t.text,
           1
      FROM op AS o
     STRAIGHT_JOIN op_text AS t
        ON t.n = o.n
     WHERE o.code = 'ok'
        ON DUPLICATE KEY UPDATE sent_seq  = VALUES(sent_seq),
                                last_at   = VALUES(last_at),
                                last_text = VALUES(last_text),
                                last_sent = VALUES(last_sent);

    -- It is head of its chat, unless the message before it waits, which is locked so that it cannot
    -- be removed unnoticed.
    INSERT INTO outbox (slot, actor_id, kind, target_id, seq, ver, at, due_at, head)
    SELECT o.slot,
           o.owner,
           o.kind,
           o.target,
           o.seq,
           o.ver,
           v_now,
           v_now,
           p.seq IS NULL
      FROM op AS o
      LEFT JOIN outbox AS p FORCE INDEX (PRIMARY)
        ON p.slot = o.slot
       AND p.actor_id = o.owner
       AND p.kind = o.kind
       AND p.target_id = o.target
       AND p.seq = GREATEST(o.seq, 1) - 1
     WHERE o.code = 'ok'
     ORDER BY o.slot,
              o.owner,
              o.target,
              o.seq
      LOCK IN SHARE MODE;

    CALL _op_user_change();

    -- The stored texts, also for the second half.
    UPDATE op AS o
     STRAIGHT_JOIN op_text AS t
        ON t.n = o.n
     STRAIGHT_JOIN message AS m FORCE INDEX (PRIMARY)
        ON m.slot = o.slot
       AND m.user_id = o.owner
       AND m.peer_id = o.target
       AND m.at = o.at
       SET t.text = m.text
     WHERE o.code = 'same';

    IF v_moving THEN
        CALL _slot_log_add_ops('message');

        -- Whatever the outcome of the message.
        INSERT INTO slot_log (slot, tbl, owner, k1, k2)
        SELECT o.slot,
               'chat',
               o.user_id,
               o.owner,
               o.target
          FROM op AS o
         WHERE o.moving = 1;

        CALL _slot_log_add_ops('outbox');
        CALL _slot_log_add_ops('user');
    END IF;

    COMMIT;

    SELECT o.n,
           o.code,
           o.slot,
           o.epoch,
           o.server,
           IF(o.code IN ('ok', 'same'), o.id, NULL) AS message_id,
           IF(o.code IN ('ok', 'same'), o.seq, NULL) AS seq,
           IF(o.code IN ('ok', 'same'), o.at, NULL) AS at,
           IF(o.code = 'same', t.text, NULL) AS text,
           IF(o.code IN ('ok', 'same'), o.prev, NULL) AS prev,
           IF(o.code IN ('ok', 'same'), o.pending, NULL) AS pending
      FROM op AS o
     STRAIGHT_JOIN op_text AS t
        ON t.n = o.n
     ORDER BY o.n;

    CALL _op_user_answer();
END$$

DELIMITER ;
