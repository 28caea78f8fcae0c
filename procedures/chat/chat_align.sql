-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- chat_align: number the messages of a user after those that the receiver has.
--
-- in_ops  batch about one chat; owner is who sent; each operation has
--           peer        who received
--           seq         number at the receiver; the operations' follow each other
--           message_id  of the message that has it there
--           state       1: sent; 0: taken back
--           text        at most 1000 characters
--           op          32 hex digits, idempotency key
--         The first one is the anchor, a message that both have under that number, or seq 0;
--         only its seq counts.
--
-- Afterwards the sender has each message of the receiver under the receiver's number: found by its
-- op under another number, or, unless its sender was erased, written again with the time of its id.
-- All other messages sent after the anchor follow these without a gap, in order, and wait in the
-- outbox even if they were delivered once: the receiver does not have them. What was taken back and
-- was not there waits again, too.
--
-- Answer  : n, code, slot, epoch, server, waiting (messages that wait in the outbox)
-- Answer 2: as _op_user_answer
-- Codes   : ok notfound (no such user) moved notready
-- Touches : SELECT, UPDATE user (by slot and user_id); SELECT, INSERT, UPDATE message (by slot,
--           user_id, peer_id, sent, seq; by slot, user_id, op); INSERT, UPDATE chat (by key);
--           INSERT, DELETE outbox (by key); INSERT slot_lost (by slot); journal
-- Errors  : 45400 malformed batch
-- Replays : changes nothing but the times in the outbox

DROP PROCEDURE IF EXISTS chat_align;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE chat_align (
    IN in_ops JSON
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: number what was sent behind what was received'
BEGIN
    DECLARE v_n       INT;
    DECLARE v_i       INT DEFAULT 2;
    DECLARE v_count   INT;
    DECLARE v_waiting INT DEFAULT 0;
    DECLARE v_aside   BIGINT UNSIGNED DEFAULT 1099511627776;
    DECLARE v_anchor  BIGINT UNSIGNED;
    DECLARE v_last    BIGINT UNSIGNED;
    DECLARE v_floor   BIGINT UNSIGNED;
    DECLARE v_slot    INT UNSIGNED;
    DECLARE v_user_id BIGINT UNSIGNED;
    DECLARE v_peer_id BIGINT UNSIGNED;
    DECLARE v_live    TINYINT;
    DECLARE v_moving  TINYINT;
    DECLARE v_now     BIGINT;
    DECLARE v_at      BIGINT DEFAULT 0;

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    CALL _op_open(in_ops);

    SELECT MIN(j.n)
      INTO v_n
      FROM JSON_TABLE(in_ops, '$[*]' COLUMNS (
               n          FOR ORDINALITY,
               owner      VARCHAR(24) PATH '$.owner',
               peer       VARCHAR(24) PATH '$.peer',
               seq        VARCHAR(24) PATH '$.seq',
               message_id VARCHAR(24) PATH '$.message_id',
               state      VARCHAR(8) PATH '$.state',
               text       VARCHAR(1001) PATH '$.text',
               op         VARCHAR(33) PATH '$.op'
           )) AS j
     WHERE NOT COALESCE(j.owner = JSON_VALUE(in_ops, '$[0].owner')
                        AND j.owner <> '0'
                        AND j.peer = JSON_VALUE(in_ops, '$[0].peer')
                        AND CAST(CAST(j.peer AS UNSIGNED) AS CHAR) = j.peer
                        AND j.peer <> '0'
                        AND j.peer <> j.owner
                        AND CAST(CAST(j.seq AS UNSIGNED) AS CHAR) = j.seq
                        AND CAST(j.seq AS UNSIGNED)
                            = CAST(JSON_VALUE(in_ops, '$[0].seq') AS UNSIGNED) + j.n - 1
                        AND CAST(CAST(j.message_id AS UNSIGNED) AS CHAR) = j.message_id
                        AND j.state IN ('0', '1')
                        AND CHAR_LENGTH(j.text) <= 1000
                        AND LENGTH(j.op) = 32 AND UNHEX(j.op) IS NOT NULL, FALSE);

    CALL _op_refuse(v_n, 'owner, one peer, the next seq, message_id, state, text, op');

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    CALL _op_fence(v_moving);
    CALL _op_user_lock();

    UPDATE JSON_TABLE(in_ops, '$[*]' COLUMNS (
               n          FOR ORDINALITY,
               peer       BIGINT UNSIGNED PATH '$.peer',
               seq        BIGINT UNSIGNED PATH '$.seq',
               message_id BIGINT UNSIGNED PATH '$.message_id',
               state      TINYINT PATH '$.state'
           )) AS j
     STRAIGHT_JOIN op AS o
        ON o.n = j.n
       SET o.kind   = 'message',
           o.target = j.peer,
           o.seq    = j.seq,
           o.id     = j.message_id,
           o.state  = j.state;

    SELECT MAX(u.slot),
           MAX(u.user_id),
           MAX(o.target),
           MAX(u.state <> 'erased'),
           MAX(o.moving),
           MIN(o.seq),
           MAX(o.seq),
           COUNT(*),
           MAX(o.epoch) << 33
      INTO v_slot,
           v_user_id,
           v_peer_id,
           v_live,
           v_moving,
           v_anchor,
           v_last,
           v_count,
           v_floor
      FROM op AS o
     STRAIGHT_JOIN user AS u FORCE INDEX (PRIMARY)
        ON u.slot = o.slot
       AND u.user_id = o.owner
     WHERE o.code = 'ok';

    UPDATE op AS o
       SET o.code = 'notfound'
     WHERE o.code = 'ok'
       AND v_slot IS NULL;

    -- Messages arriving in this chat wait meanwhile.
    INSERT INTO chat (slot, user_id, peer_id)
    SELECT v_slot,
           v_user_id,
           v_peer_id
      FROM op AS o
     WHERE o.n = 1
       AND v_slot IS NOT NULL
        ON DUPLICATE KEY UPDATE peer_id = VALUES(peer_id);

    -- Move aside, so that no two have the same number meanwhile: messages that the receiver lacks
    -- ...
    UPDATE message AS m
       SET m.seq = m.seq + v_aside
     WHERE m.slot = v_slot
       AND m.user_id = v_user_id
       AND m.peer_id = v_peer_id
       AND m.sent = 1
       AND m.seq > v_anchor;

    -- ... and give the others the receiver's numbers. was: it is here.
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
       SET o.was        = 1,
           o.at         = m.at,
           m.seq        = o.seq,
           m.message_id = o.id
     WHERE o.code = 'ok'
       AND o.n > 1
       AND m.peer_id = o.target
       AND m.sent = 1;

    SET v_now = _now_ms();

    WHILE v_i <= v_count DO
        -- The time of its id, or the next free one after the message before it.
        SELECT GREATEST(o.id DIV 8192 + 1735689600000, v_at + 1)
          INTO v_at
          FROM op AS o
         WHERE o.n = v_i;

        WHILE EXISTS (SELECT 1
                        FROM message AS m FORCE INDEX (PRIMARY)
                       WHERE m.slot = v_slot
                         AND m.user_id = v_user_id
                         AND m.peer_id = v_peer_id
                         AND m.at = v_at
                         AND NOT EXISTS (SELECT 1
                                           FROM op AS o
                                          WHERE o.n = v_i
                                            AND o.was = 1)) DO
            SET v_at = v_at + 1;
        END WHILE;

        UPDATE op AS o
           SET o.at = IF(o.was = 1, o.at, v_at)
         WHERE o.n = v_i;

        SELECT o.at
          INTO v_at
          FROM op AS o
         WHERE o.n = v_i;

        SET v_i = v_i + 1;
    END WHILE;

    INSERT INTO message (slot, user_id, peer_id, at, message_id, sent, seq, text, state, op)
    SELECT o.slot,
           o.owner,
           o.target,
           o.at,
           o.id,
           1,
           o.seq,
           j.text,
           o.state,
           UNHEX(j.op)
      FROM JSON_TABLE(in_ops, '$[*]' COLUMNS (
               n    FOR ORDINALITY,
               op   VARCHAR(32) PATH '$.op',
               text VARCHAR(1000) PATH '$.text'
           )) AS j
     STRAIGHT_JOIN op AS o
        ON o.n = j.n
     WHERE o.code = 'ok'
       AND o.n > 1
       AND o.was = 0
       AND v_live = 1;

    -- Move back those put aside, after those that the receiver has.
    UPDATE (SELECT m.at,
                   ROW_NUMBER() OVER (ORDER BY m.seq) AS place
              FROM message AS m FORCE INDEX (seq)
             WHERE m.slot = v_slot
               AND m.user_id = v_user_id
               AND m.peer_id = v_peer_id
               AND m.sent = 1
               AND m.seq > v_aside) AS d
     STRAIGHT_JOIN message AS m FORCE INDEX (PRIMARY)
        ON m.slot = v_slot
       AND m.user_id = v_user_id
       AND m.peer_id = v_peer_id
       AND m.at = d.at
       SET m.seq = v_last + d.place;

    DELETE
      FROM outbox
     WHERE slot = v_slot
       AND actor_id = v_user_id
       AND kind = 'message'
       AND target_id = v_peer_id
       AND seq > v_anchor;

    INSERT INTO outbox (slot, actor_id, kind, target_id, seq, ver, at, due_at, head)
    SELECT m.slot,
           m.user_id,
           'message',
           m.peer_id,
           m.seq,
           IF(m.state = 1, 1, 2),
           v_now,
           v_now,
           m.seq <= v_last + 1
      FROM message AS m FORCE INDEX (seq)
      LEFT JOIN op AS o
        ON o.seq = m.seq
     WHERE m.slot = v_slot
       AND m.user_id = v_user_id
       AND m.peer_id = v_peer_id
       AND m.sent = 1
       AND m.seq > v_anchor
       AND (m.seq > v_last OR m.state < o.state)
     ORDER BY m.seq;

    SET v_waiting = ROW_COUNT();

    INSERT INTO chat (slot, user_id, peer_id, sent_seq, last_at)
    SELECT m.slot,
           m.user_id,
           m.peer_id,
           MAX(m.seq),
           MAX(m.at)
      FROM message AS m FORCE INDEX (seq)
     WHERE m.slot = v_slot
       AND m.user_id = v_user_id
       AND m.peer_id = v_peer_id
       AND m.sent = 1
       AND m.seq >= v_anchor
     GROUP BY m.slot,
              m.user_id,
              m.peer_id
        ON DUPLICATE KEY UPDATE sent_seq = VALUES(sent_seq),
                                last_at  = GREATEST(last_at, VALUES(last_at));

    -- The newest live message of the chat may have changed; ids in use must not be made again.
    UPDATE op AS o
       SET o.was = (o.n = 1);

    CALL _op_chat_last();

    UPDATE user AS u
       SET u.message_last = GREATEST(u.message_last,
                                     (SELECT MAX(IF(o.n = 1, 0, o.id DIV 8192 * 8 + o.id MOD 8))
                                        FROM op AS o)),
           u.mail_ver     = GREATEST(u.mail_ver, v_floor) + 1
     WHERE u.slot = v_slot
       AND u.user_id = v_user_id;

    -- The journal names the whole chat, which a mover reads at once: if that is too long for it,
    -- the journal is given up, and the move begins again.
    IF v_moving THEN
        SELECT COUNT(*)
          INTO v_count
          FROM (SELECT m.seq
                  FROM message AS m FORCE INDEX (PRIMARY)
                 WHERE m.slot = v_slot
                   AND m.user_id = v_user_id
                   AND m.peer_id = v_peer_id
                 LIMIT 10001) AS t;

        IF v_count > 10000 THEN
            INSERT INTO slot_lost (slot, at)
            VALUES (v_slot, v_now)
                ON DUPLICATE KEY UPDATE
                   at = slot_lost.at;

            SET v_moving = 0;
        END IF;
    END IF;

    CALL _slot_log_add(v_moving, v_slot, 'message', v_user_id,
                       v_user_id, v_peer_id, NULL, NULL, NULL);
    CALL _slot_log_add(v_moving, v_slot, 'chat', v_user_id,
                       v_user_id, v_peer_id, NULL, NULL, NULL);
    CALL _slot_log_add(v_moving, v_slot, 'outbox', v_user_id,
                       v_user_id, v_peer_id, NULL, NULL, 'message');
    CALL _slot_log_add(v_moving, v_slot, 'user', v_user_id,
                       v_user_id, NULL, NULL, NULL, NULL);

    CALL _op_user_lock();

    COMMIT;

    SELECT o.n,
           o.code,
           o.slot,
           o.epoch,
           o.server,
           v_waiting AS waiting
      FROM op AS o
     ORDER BY o.n;

    CALL _op_user_answer();
END$$

DELIMITER ;
