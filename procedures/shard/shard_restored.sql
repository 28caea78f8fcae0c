-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- shard_restored: decide, with what the other shards know, which slots this one, whose data is old,
-- keeps.
--
-- in_entries  array of 1 to 2048 objects, at most 262144 bytes, each with what all other shards say
--             (slot_epochs) of one slot
--               slot    unsigned integer
--               next    the lowest epoch that none of them has used, 1 to 1048575
--               epoch   of the highest claim that one of them knows, 0 to 1048575; 0: none
--               server  who has it at that epoch; empty: nobody, or his owner has left an own
--                       slot
--               homes   of an own slot: how many forwarding entries of theirs lead to it; absent:
--                       nobody knows
-- in_last     1: there are no more entries: the shard may be admitted
-- in_now      the latest clock of all shards, ms since the Unix epoch
--
-- Of a shard that is refused (shard_refuse), what happens to a slot:
--   kept   the fence here claims it, and nobody else has it at a higher epoch: it is claimed at an
--          epoch that nobody has used, so that no version is handed out twice
--   gone   it has moved to another shard since: the fence becomes moved; the rows here are old
--   lost   it had moved here since, or was arriving: its rows are not in this data, or only some of
--          them. The fence becomes importing, which refuses the slot also after shard_admit, until
--          slot_adopt says whose rows count
--   past   an own slot to which no forwarding entry leads, here or elsewhere: its owner was
--          promoted after this data, and is in the slot of his id, or had come back from it. The
--          fence becomes gone, which sends there
-- A move that was under way is over; its journal is removed. Ids are minted after in_now, so that
-- none is handed out twice although the clock of this shard may be behind the others'.
--
-- The slots 0 to 1023 come in one CALL, before or with the first own slots.
--
-- Answer  : kept, gone, lost, past (how many slots)
-- Answer 2: slot, what (gone or lost), epoch, server
-- Touches : CREATE, DELETE, INSERT slot_back, slot_led (the session's own, in memory); SELECT,
--           UPDATE shard_self; SELECT, INSERT, UPDATE slot_fence (by slot), slot_known; SELECT,
--           UPDATE slot_move; SELECT owner_home (all rows); DELETE slot_log (by slot); UPDATE
--           slot_seq; slot_gen
-- Errors  : 45400 no such array, or an entry in it is malformed   45503 the shard is not refused,
--           or a slot has no higher epoch
-- Replays : raises the epochs once more, which changes nothing else

DROP PROCEDURE IF EXISTS shard_restored;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE shard_restored (
    IN in_entries JSON,
    IN in_last    TINYINT,
    IN in_now     BIGINT
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: settle what old data has of each slot'
BEGIN
    DECLARE v_n    INT;
    DECLARE v_self VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin;
    DECLARE v_kept INT;
    DECLARE v_gone INT;
    DECLARE v_past INT;
    DECLARE v_lost INT;
    DECLARE v_text VARCHAR(128);

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    IF NOT COALESCE(LENGTH(in_entries) <= 262144
                    AND JSON_TYPE(in_entries) = 'ARRAY'
                    AND JSON_LENGTH(in_entries) BETWEEN 1 AND 2048
                    AND in_last IN (0, 1)
                    AND in_now BETWEEN 1735689600000 AND 2835201227775, FALSE) THEN
        SIGNAL SQLSTATE '45400'
           SET MESSAGE_TEXT = 'shard_restored needs 1 to 2048 entries, last 0 or 1, a time';
    END IF;

    SELECT MIN(j.n)
      INTO v_n
      FROM JSON_TABLE(in_entries, '$[*]' COLUMNS (
               n      FOR ORDINALITY,
               slot   VARCHAR(24) PATH '$.slot',
               next   VARCHAR(24) PATH '$.next',
               epoch  VARCHAR(24) PATH '$.epoch',
               server VARCHAR(33) PATH '$.server',
               homes  VARCHAR(24) PATH '$.homes'
           )) AS j
     WHERE NOT COALESCE(CAST(CAST(j.slot AS UNSIGNED) AS CHAR) = j.slot
                        AND CAST(j.slot AS UNSIGNED) <= 4294967295
                        AND CAST(CAST(j.next AS UNSIGNED) AS CHAR) = j.next
                        AND CAST(j.next AS UNSIGNED) BETWEEN 1 AND 1048575
                        AND CAST(CAST(j.epoch AS UNSIGNED) AS CHAR) = j.epoch
                        AND CAST(j.epoch AS UNSIGNED) <= 1048575
                        AND COALESCE(j.homes, '0') REGEXP '^[0-9]{1,18}$'
                        AND (j.server REGEXP '^[A-Za-z0-9][A-Za-z0-9_.-]{0,31}$'
                             OR (j.server = '' AND (j.epoch = '0'
                                                    OR CAST(j.slot AS UNSIGNED) >= 1024))),
                        FALSE);

    CALL _op_refuse(v_n, 'slot, next, epoch and server');

    CREATE TEMPORARY TABLE IF NOT EXISTS slot_back (
        slot   INT UNSIGNED NOT NULL
            COMMENT 'what it is about',
        what   VARCHAR(4) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
            COMMENT 'kept, gone, lost, past; empty: it is not ours and never was',
        epoch  BIGINT UNSIGNED NOT NULL
            COMMENT 'that the fence here is to have',
        server VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
            COMMENT 'who has the slot at that epoch',
        next   BIGINT UNSIGNED NOT NULL
            COMMENT 'lowest epoch that nobody has used',
        homes  BIGINT UNSIGNED NULL
            COMMENT 'forwarding entries that lead to it; NULL: nobody knows',
        PRIMARY KEY (slot)
    )
        ENGINE = MEMORY;

    CREATE TEMPORARY TABLE IF NOT EXISTS slot_led (
        slot INT UNSIGNED NOT NULL
            COMMENT 'own slot to which forwarding entries lead that are in force here',
        PRIMARY KEY (slot)
    )
        ENGINE = MEMORY;

    DELETE FROM slot_back;

    DELETE FROM slot_led;

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    SELECT MAX(IF(ss.refused_at IS NULL, NULL, ss.name))
      INTO v_self
      FROM shard_self AS ss
       FOR UPDATE;

    IF v_self IS NULL THEN
        SIGNAL SQLSTATE '45503' SET MESSAGE_TEXT = 'this shard is not refused: shard_refuse first';
    END IF;

    SELECT COUNT(*)
      INTO v_n
      FROM (SELECT f.slot
              FROM slot_fence AS f
             ORDER BY f.slot
               FOR UPDATE) AS t;

    -- The highest claim, its own or one known to others.
    INSERT INTO slot_back (slot, what, epoch, server, next, homes)
    SELECT t.slot,
           t.what,
           IF(t.what = 'kept', t.next, t.epoch),
           IF(t.what IN ('kept', 'lost'), v_self, t.server),
           t.next,
           t.homes
      FROM (SELECT j.slot,
                   j.homes,
                   GREATEST(j.next, COALESCE(f.epoch, 0) + 1, COALESCE(f.heard_epoch, 0) + 1,
                            COALESCE(k.epoch, 0) + 1,
                            COALESCE((SELECT MAX(m.epoch)
                                        FROM slot_move AS m
                                       WHERE m.slot = j.slot), 0) + 1) AS next,
                   j.epoch,
                   j.server,
                   CASE WHEN f.state IN ('owned', 'migrating')
                             AND j.epoch > f.epoch AND j.server NOT IN (v_self, '')
                        THEN 'gone'
                        WHEN f.state IN ('owned', 'migrating')
                        THEN 'kept'
                        WHEN j.server = v_self
                             AND (j.epoch > COALESCE(f.epoch, 0)
                                  OR (f.state IN ('importing', 'ready') AND j.epoch = f.epoch))
                        THEN 'lost'
                        WHEN f.state IN ('importing', 'ready') AND f.server = v_self
                             AND j.server NOT IN (v_self, '') AND j.epoch > 0
                        THEN 'gone'
                        ELSE ''
                   END AS what
              FROM JSON_TABLE(in_entries, '$[*]' COLUMNS (
                       slot   INT UNSIGNED PATH '$.slot',
                       next   BIGINT UNSIGNED PATH '$.next',
                       epoch  BIGINT UNSIGNED PATH '$.epoch',
                       server VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin PATH '$.server',
                       homes  BIGINT UNSIGNED PATH '$.homes'
                   )) AS j
              LEFT JOIN slot_known AS k FORCE INDEX (PRIMARY)
                ON k.slot = j.slot
              LEFT JOIN slot_fence AS f FORCE INDEX (PRIMARY)
                ON f.slot = j.slot) AS t;

    -- Forwarding entries of slots that have left, or are not ours, have no effect.
    INSERT INTO slot_led (slot)
    SELECT DISTINCT h.own_slot
      FROM owner_home AS h
     STRAIGHT_JOIN slot_fence AS f FORCE INDEX (PRIMARY)
        ON f.slot = h.slot
       AND f.state IN ('owned', 'migrating')
      LEFT JOIN slot_back AS b
        ON b.slot = h.slot
     WHERE COALESCE(b.what, 'kept') = 'kept';

    UPDATE slot_back AS b
      LEFT JOIN slot_led AS d
        ON d.slot = b.slot
       SET b.what   = 'past',
           b.server = '',
           b.epoch  = b.next
     WHERE b.slot >= 1024
       AND b.what IN ('kept', 'lost')
       AND b.homes = 0
       AND d.slot IS NULL;

    SELECT MIN(b.slot)
      INTO v_n
      FROM slot_back AS b
     WHERE b.epoch > 1048575;

    IF v_n IS NOT NULL THEN
        SET v_text = CONCAT('slot ', v_n, ' has no higher epoch');
        SIGNAL SQLSTATE '45503' SET MESSAGE_TEXT = v_text;
    END IF;

    INSERT INTO slot_fence (slot, epoch, state, server, paused, changed_at)
    SELECT b.slot,
           b.epoch,
           CASE b.what
                WHEN 'kept'
                THEN 'owned'
                WHEN 'gone'
                THEN 'moved'
                WHEN 'past'
                THEN 'gone'
                ELSE 'importing'
           END,
           b.server,
           1,
           _now_ms()
      FROM slot_back AS b
     WHERE b.what <> ''
     ORDER BY b.slot
        ON DUPLICATE KEY UPDATE
           epoch       = VALUES(epoch),
           state       = VALUES(state),
           server      = VALUES(server),
           token       = NULL,
           journal     = 0,
           rival_epoch = 0,
           changed_at  = VALUES(changed_at);

    INSERT INTO slot_known (slot, epoch, server)
    SELECT b.slot,
           b.epoch,
           b.server
      FROM slot_back AS b
     WHERE b.what IN ('kept', 'gone', 'past')
     ORDER BY b.slot
        ON DUPLICATE KEY UPDATE
           server = IF(VALUES(epoch) >= slot_known.epoch, VALUES(server), slot_known.server),
           epoch  = GREATEST(slot_known.epoch, VALUES(epoch));

    DELETE l
      FROM slot_back AS b
     STRAIGHT_JOIN slot_log AS l
        ON l.slot = b.slot
     WHERE b.what <> '';

    UPDATE slot_move AS m
       SET m.phase       = 'failed',
           m.finished_at = _now_ms(),
           m.last_error  = 'this shard was restored from a backup'
     WHERE m.finished_at IS NULL;

    UPDATE slot_back AS b
     STRAIGHT_JOIN slot_seq AS q FORCE INDEX (PRIMARY)
        ON q.slot = b.slot
       SET q.last = GREATEST(q.last, (in_now - 1735689600000) * 8)
     WHERE b.what = 'kept';

    UPDATE shard_self AS ss
       SET ss.settled_at = IF(in_last = 1, _now_ms(), NULL);

    CALL _slot_changed();

    SELECT COALESCE(SUM(b.what = 'kept'), 0),
           COALESCE(SUM(b.what = 'gone'), 0),
           COALESCE(SUM(b.what = 'lost'), 0),
           COALESCE(SUM(b.what = 'past'), 0)
      INTO v_kept,
           v_gone,
           v_lost,
           v_past
      FROM slot_back AS b;

    COMMIT;

    SELECT v_kept AS kept,
           v_gone AS gone,
           v_lost AS lost,
           v_past AS past;

    SELECT b.slot,
           b.what,
           b.epoch,
           b.server
      FROM slot_back AS b
     WHERE b.what IN ('gone', 'lost')
     ORDER BY b.slot;
END$$

DELIMITER ;
