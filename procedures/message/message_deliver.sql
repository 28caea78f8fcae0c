-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- message_deliver: messages, in the mailbox of the receiver.
--
-- in_ops  batch; owner is the receiver; each operation has
--           peer        the sender, another user
--           seq         number that message_action gave to the message
--           message_id  its id
--           prev        id of the message before it (seq - 1); 0 or absent: not known
--           state       1: sent; 0: taken back, its sender was erased
--           text        1 to 1000 characters; empty with state 0
--           op          32 hex digits, idempotency key
--
-- Applied only when seq is the next of its sender, and prev the last that was received, so
-- that nothing is doubled or out of order. A message is identified by its id: another one under the
-- same number, or after another one than prev, shows that one of the two mailboxes was restored
-- from a backup. Nothing changes then; chat_repair makes them agree. One that is taken back is
-- emptied, or takes its place as an empty one; both are shown to nobody. at is the time in this
-- mailbox, later than that of every message in it: who polls by it misses nothing. At most one
-- operation per chat.
--
-- Answer  : n, code, slot, epoch, server, at (ms since the Unix epoch; NULL for same)
-- Answer 2: as _op_inbound_answer
-- Codes   : ok same (it is there, or taken back) gap (one before it is missing; nothing
--           changes) conflict (its number, or its place, is another message's; nothing
--           changes) notfound (no live user, and it is not there) moved notready
-- Touches : SELECT, UPDATE inbound (by slot and user_id); INSERT message (by key), SELECT,
--           UPDATE (by slot, user_id, peer_id, sent, seq); SELECT, INSERT, UPDATE chat (by
--           key); journal
-- Errors  : 45400 malformed batch, or two operations in one chat
-- Replays : same

DROP PROCEDURE IF EXISTS message_deliver;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE message_deliver (
    IN in_ops JSON
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v3 serves v2: second half of a message'
BEGIN
    DECLARE v_moving TINYINT;
    DECLARE v_now    BIGINT;

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    CALL _op_begin(in_ops);

    -- op.seq must be unique, so it is not the message's number: one per chat.
    INSERT INTO op (n, slot, epoch, owner, user_id, kind, target, op, state, ver, id, prev)
    SELECT j.n,
           j.slot,
           j.epoch,
           j.owner,
           j.owner,
           'message',
           j.peer,
           UNHEX(j.op),
           j.state,
           j.seq,
           j.message_id,
           j.prev
      FROM JSON_TABLE(in_ops, '$[*]' COLUMNS (
               n               FOR ORDINALITY,
               slot            INT UNSIGNED PATH '$.slot',
               slot_text       VARCHAR(24) PATH '$.slot',
               epoch           BIGINT UNSIGNED PATH '$.epoch',
               epoch_text      VARCHAR(24) PATH '$.epoch',
               owner           BIGINT UNSIGNED PATH '$.owner',
               owner_text      VARCHAR(24) PATH '$.owner',
               peer            BIGINT UNSIGNED PATH '$.peer',
               peer_text       VARCHAR(24) PATH '$.peer',
               seq             BIGINT UNSIGNED PATH '$.seq',
               seq_text        VARCHAR(24) PATH '$.seq',
               message_id      BIGINT UNSIGNED PATH '$.message_id',
               message_id_text VARCHAR(24) PATH '$.message_id',
               prev            BIGINT UNSIGNED PATH '$.prev' DEFAULT '0' ON EMPTY,
               prev_text       VARCHAR(24) PATH '$.prev' DEFAULT '0' ON EMPTY,
               state           TINYINT PATH '$.state',
               state_text      VARCHAR(24) PATH '$.state',
               op              VARCHAR(33) PATH '$.op',
               text            VARCHAR(1001) PATH '$.text'
           )) AS j
     WHERE CONCAT(j.slot, ',', j.epoch, ',', j.owner, ',', j.peer, ',', j.seq, ',', j.message_id,
                  ',', j.prev, ',', j.state)
           = CONCAT(j.slot_text, ',', j.epoch_text, ',', j.owner_text, ',', j.peer_text, ',',
                    j.seq_text, ',', j.message_id_text, ',', j.prev_text, ',',
                    j.state_text)
       AND j.owner > 0
       AND j.peer > 0
       AND j.peer <> j.owner
       AND j.seq > 0
       AND j.message_id > 0
       AND j.state IN (0, 1)
       AND CHAR_LENGTH(j.text) BETWEEN j.state AND j.state * 1000
       AND LENGTH(j.op) = 32
       AND UNHEX(j.op) IS NOT NULL;

    CALL _op_opened(in_ops, ROW_COUNT(),
                    'owner, another peer, seq, message_id, state, text of state 1, op');

    CALL _op_texts(in_ops);

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    CALL _op_fence(v_moving);
    CALL _op_inbound_lock();

    -- The chats first, so that sending and receiving in the same chat wait for each other.
    INSERT INTO chat (slot, user_id, peer_id)
    SELECT o.slot,
           o.owner,
           o.target
      FROM op AS o
     STRAIGHT_JOIN op_inbound AS i
        ON i.slot = o.slot
       AND i.user_id = o.owner
       AND i.state <> 'erased'
     WHERE o.code = 'ok'
     ORDER BY o.slot,
              o.owner,
              o.target
        ON DUPLICATE KEY UPDATE peer_id = VALUES(peer_id);

    SET v_now = _now_ms();

    -- Check the number first: a message received earlier is `same`, also at a user erased since,
    -- whose messages are gone. m: the message with that number, or the last one received.
    UPDATE op AS o
      LEFT JOIN chat AS c FORCE INDEX (PRIMARY)
        ON c.slot = o.slot
       AND c.user_id = o.owner
       AND c.peer_id = o.target
      LEFT JOIN message AS m FORCE INDEX (seq)
        ON m.slot = o.slot
       AND m.user_id = o.owner
       AND m.peer_id = o.target
       AND m.sent = 0
       AND m.seq = LEAST(o.ver, c.recv_seq)
       SET o.code = CASE WHEN o.ver > COALESCE(c.recv_seq, 0) + 1
                         THEN 'gap'
                         WHEN m.message_id <> IF(o.ver <= c.recv_seq, o.id,
                                                 IF(o.prev = 0, m.message_id, o.prev))
                         THEN 'conflict'
                         WHEN o.ver <= c.recv_seq
                         THEN 'same'
                         ELSE 'ok'
                    END,
           o.at   = GREATEST(v_now, COALESCE(c.last_at, 0) + 1)
     WHERE o.code = 'ok';

    UPDATE op AS o
      LEFT JOIN op_inbound AS i
        ON i.slot = o.slot
       AND i.user_id = o.owner
       AND i.state <> 'erased'
       SET o.code = 'notfound'
     WHERE o.code IN ('ok', 'gap', 'conflict')
       AND i.user_id IS NULL;

    -- was: it was received before it was taken back.
    UPDATE op AS o
     STRAIGHT_JOIN message AS m FORCE INDEX (seq)
        ON m.slot = o.slot
       AND m.user_id = o.owner
       AND m.peer_id = o.target
       AND m.sent = 0
       AND m.seq = o.ver
       SET o.code  = 'ok',
           o.was   = 1,
           o.at    = m.at,
           m.state = 0,
           m.text  = ''
     WHERE o.code = 'same'
       AND o.state = 0
       AND m.state = 1;

    CALL _op_chat_last();

    INSERT INTO message (slot, user_id, peer_id, at, message_id, sent, seq, text, state, op)
    SELECT o.slot,
           o.owner,
           o.target,
           o.at,
           o.id,
           0,
           o.ver,
           t.text,
           o.state,
           o.op
      FROM op AS o
     STRAIGHT_JOIN op_text AS t
        ON t.n = o.n
     WHERE o.code = 'ok'
       AND o.was = 0;

    -- A text of blanks is a text: compared with '' it would be empty.
    INSERT INTO chat (slot, user_id, peer_id, recv_seq, last_at, last_text, last_sent)
    SELECT o.slot,
           o.owner,
           o.target,
           o.ver,
           o.at,
           t.text,
           0
      FROM op AS o
     STRAIGHT_JOIN op_text AS t
        ON t.n = o.n
     WHERE o.code = 'ok'
       AND o.was = 0
        ON DUPLICATE KEY UPDATE recv_seq  = VALUES(recv_seq),
                                last_at   = VALUES(last_at),
                                last_sent = IF(LENGTH(VALUES(last_text)) = 0, last_sent, 0),
                                last_text = IF(LENGTH(VALUES(last_text)) = 0, last_text,
                                               VALUES(last_text));

    CALL _op_inbound_change();

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

        CALL _slot_log_add_ops('inbound');
    END IF;

    COMMIT;

    SELECT o.n,
           o.code,
           o.slot,
           o.epoch,
           o.server,
           IF(o.code = 'ok', o.at, NULL) AS at
      FROM op AS o;

    CALL _op_inbound_answer();
END$$

DELIMITER ;
