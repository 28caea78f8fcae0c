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
-- and unique per sender. The outbox remembers that the second half, message_deliver, is to
-- be made. At most one operation per chat.
--
-- Answer  : n, code, slot, epoch, server, message_id, seq, at (ms since the Unix epoch),
--           text (for same: what is stored, for the second half, too), prev (id of the
--           message before it in its direction, 0: none), pending (1: the second half is
--           still to be made)
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
    DECLARE v_n      INT;
    DECLARE v_twice  INT;
    DECLARE v_moving TINYINT;
    DECLARE v_now    BIGINT;
    DECLARE v_last   BIGINT;

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    CALL _op_open(in_ops);

    SELECT MIN(IF(COALESCE(j.owner <> '0'
                           AND CAST(CAST(j.peer AS UNSIGNED) AS CHAR) = j.peer
                           AND j.peer <> '0'
                           AND j.peer <> j.owner
                           AND LENGTH(j.op) = 32 AND UNHEX(j.op) IS NOT NULL
                           AND CHAR_LENGTH(j.text) BETWEEN 1 AND 1000, FALSE), NULL, j.n)),
           COUNT(*) - COUNT(DISTINCT j.owner, UNHEX(j.op))
      INTO v_n,
           v_twice
      FROM JSON_TABLE(in_ops, '$[*]' COLUMNS (
               n     FOR ORDINALITY,
               owner VARCHAR(24) PATH '$.owner',
               peer  VARCHAR(24) PATH '$.peer',
               op    VARCHAR(33) PATH '$.op',
               text  VARCHAR(1001) PATH '$.text'
           )) AS j;

    CALL _op_refuse(v_n, 'owner, another peer, op and text of 1 to 1000 characters');

    IF v_twice > 0 THEN
        SIGNAL SQLSTATE '45400' SET MESSAGE_TEXT = 'a batch holds at most one operation per op';
    END IF;

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    CALL _op_fence();

    UPDATE JSON_TABLE(in_ops, '$[*]' COLUMNS (
               n    FOR ORDINALITY,
               peer BIGINT UNSIGNED PATH '$.peer'
           )) AS j
     STRAIGHT_JOIN op AS o
        ON o.n = j.n
       SET o.kind   = 'message',
           o.target = j.peer,
           o.ver    = 1;

    CALL _op_distinct();
    CALL _op_place();
    CALL _op_user_lock();

    -- Messages that are there.
    UPDATE JSON_TABLE(in_ops, '$[*]' COLUMNS (
               n  FOR ORDINALITY,
               op VARCHAR(32) PATH '$.op'
           )) AS j
     STRAIGHT_JOIN op AS o
        ON o.n = j.n
     STRAIGHT_JOIN message AS m FORCE INDEX (op)
        ON m.slot = o.slot
       AND m.user_id = o.owner
       AND m.op = UNHEX(j.op)
       SET o.code = CASE WHEN m.peer_id <> o.target
                           OR m.sent <> 1
                         THEN 'mismatch'
                         WHEN m.state = 1
                         THEN 'same'
                         ELSE 'notfound'
                    END,
           o.id   = m.message_id,
           o.seq  = m.seq,
           o.at   = m.at
     WHERE o.code = 'ok';

    -- New ones: ids follow those of their sender, seq and time those of their chat.
    SET v_now = _now_ms();

    UPDATE op AS o
     STRAIGHT_JOIN user AS u FORCE INDEX (PRIMARY)
        ON u.slot = o.slot
       AND u.user_id = o.owner
      LEFT JOIN chat AS c FORCE INDEX (PRIMARY)
        ON c.slot = o.slot
       AND c.user_id = o.owner
       AND c.peer_id = o.target
       SET o.id  = GREATEST((v_now - 1735689600000) * 8, u.message_last + 1) + o.place - 1,
           o.seq = COALESCE(c.sent_seq, 0) + 1,
           o.at  = GREATEST(v_now, COALESCE(c.last_at, 0) + 1)
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
       SET u.message_last = d.last,
           u.ver          = u.ver + 1;

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
           j.text,
           UNHEX(j.op)
      FROM JSON_TABLE(in_ops, '$[*]' COLUMNS (
               n    FOR ORDINALITY,
               op   VARCHAR(32) PATH '$.op',
               text VARCHAR(1000) PATH '$.text'
           )) AS j
     STRAIGHT_JOIN op AS o
        ON o.n = j.n
     WHERE o.code = 'ok';

    INSERT INTO chat (slot, user_id, peer_id, sent_seq, last_at, last_text, last_sent)
    SELECT o.slot,
           o.owner,
           o.target,
           o.seq,
           o.at,
           j.text,
           1
      FROM JSON_TABLE(in_ops, '$[*]' COLUMNS (
               n    FOR ORDINALITY,
               text VARCHAR(1000) PATH '$.text'
           )) AS j
     STRAIGHT_JOIN op AS o
        ON o.n = j.n
     WHERE o.code = 'ok'
        ON DUPLICATE KEY UPDATE sent_seq  = VALUES(sent_seq),
                                last_at   = VALUES(last_at),
                                last_text = VALUES(last_text),
                                last_sent = VALUES(last_sent);

    -- Head of its chat, unless the one before it waits: locked, so that it cannot go unseen.
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

    SELECT MAX(o.moving)
      INTO v_moving
      FROM op AS o
     WHERE o.code = 'ok';

    IF v_moving THEN
        CALL _slot_log_add_ops('message');
        CALL _slot_log_add_ops('chat');
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
           m.text,
           IF(o.code IN ('ok', 'same'), COALESCE(p.message_id, 0), NULL) AS prev,
           IF(o.code IN ('ok', 'same'), x.ver IS NOT NULL, NULL) AS pending
      FROM op AS o
      LEFT JOIN outbox AS x FORCE INDEX (PRIMARY)
        ON x.slot = IF(o.code IN ('ok', 'same'), o.slot, NULL)
       AND x.actor_id = o.owner
       AND x.kind = o.kind
       AND x.target_id = o.target
       AND x.seq = o.seq
       AND x.ver = o.ver
      LEFT JOIN message AS m FORCE INDEX (PRIMARY)
        ON m.slot = IF(o.code = 'same', o.slot, NULL)
       AND m.user_id = o.owner
       AND m.peer_id = o.target
       AND m.at = o.at
      LEFT JOIN message AS p FORCE INDEX (seq)
        ON p.slot = IF(o.code IN ('ok', 'same'), o.slot, NULL)
       AND p.user_id = o.owner
       AND p.peer_id = o.target
       AND p.sent = 1
       AND p.seq = GREATEST(o.seq, 1) - 1
     ORDER BY o.n;
END$$

DELIMITER ;
