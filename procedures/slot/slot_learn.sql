-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- slot_learn: tell this shard where slots are.
--
-- in_entries  array of 1 to 2048 objects, at most 262144 bytes, each with
--               slot     unsigned integer
--               epoch    unsigned integer, 1 to 1048575
--               server   name of the shard that has the slot at that epoch; empty: nobody, the
--                        owner of an own slot has left it
--               claimed  1: that shard's own fence says so; 0 or absent: hearsay
--
-- Entries that are not newer than what is known change nothing. If one is newer than this shard's
-- fence of the slot, this shard is out of date (an old primary, a backup that was restored) and
-- stops serving the slot: the fence is locked for that, so that it happens after every write that
-- passed it.
--
-- If another shard claims a slot at the very epoch at which the fence here claims it, both stop
-- serving it until slot_settle raises the epoch; hearsay at that epoch stops nothing.
--
-- What is more than 1000 above all that is known of the slot is refused: no slot moves that
-- often unheard, and a typo or a broken peer must not use up the epochs. Who means it goes
-- in steps.
--
-- Answer  : learned, refused (how many entries)
-- Touches : CREATE, DELETE, INSERT slot_news (the session's own, in memory); SELECT shard_self;
--           SELECT, UPDATE slot_fence (all by slot, before anything else is locked, as
--           batches do); SELECT, INSERT, UPDATE slot_known (by slot); slot_gen
-- Errors  : 45400 no such array, or an entry in it is malformed
-- Replays : changes nothing more

DROP PROCEDURE IF EXISTS slot_learn;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE slot_learn (
    IN in_entries JSON
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v2 serves v1: learn where slots are'
BEGIN
    DECLARE v_n       INT;
    DECLARE v_self    VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin;
    DECLARE v_learned INT;
    DECLARE v_refused INT;

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    IF NOT COALESCE(LENGTH(in_entries) <= 262144
                    AND JSON_TYPE(in_entries) = 'ARRAY'
                    AND JSON_LENGTH(in_entries) BETWEEN 1 AND 2048, FALSE) THEN
        SIGNAL SQLSTATE '45400'
           SET MESSAGE_TEXT = 'in_entries needs 1 to 2048 entries, at most 262144 bytes';
    END IF;

    SELECT MIN(j.n)
      INTO v_n
      FROM JSON_TABLE(in_entries, '$[*]' COLUMNS (
               n       FOR ORDINALITY,
               slot    VARCHAR(24) PATH '$.slot',
               epoch   VARCHAR(24) PATH '$.epoch',
               server  VARCHAR(33) PATH '$.server',
               claimed VARCHAR(24) PATH '$.claimed'
           )) AS j
     WHERE NOT COALESCE(CAST(CAST(j.slot AS UNSIGNED) AS CHAR) = j.slot
                        AND CAST(j.slot AS UNSIGNED) <= 4294967295
                        AND CAST(CAST(j.epoch AS UNSIGNED) AS CHAR) = j.epoch
                        AND CAST(j.epoch AS UNSIGNED) BETWEEN 1 AND 1048575
                        AND (j.server REGEXP '^[A-Za-z0-9][A-Za-z0-9_.-]{0,31}$'
                             OR (j.server = '' AND CAST(j.slot AS UNSIGNED) >= 1024))
                        AND COALESCE(j.claimed, '0') IN ('0', '1'), FALSE);

    CALL _op_refuse(v_n, 'slot, epoch and server');

    CREATE TEMPORARY TABLE IF NOT EXISTS slot_news (
        n       SMALLINT UNSIGNED NOT NULL
            COMMENT 'number of the entry',
        slot    INT UNSIGNED NOT NULL
            COMMENT 'what it is about',
        epoch   BIGINT UNSIGNED NOT NULL
            COMMENT 'of the slot',
        server  VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
            COMMENT 'who has it at that epoch',
        rival   TINYINT UNSIGNED NOT NULL
            COMMENT '1: that server claims what the fence here claims',
        refused TINYINT UNSIGNED NOT NULL
            COMMENT '1: too far above what is known',
        PRIMARY KEY (n)
    )
        ENGINE = MEMORY;

    DELETE FROM slot_news;

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    SELECT MAX(ss.name)
      INTO v_self
      FROM shard_self AS ss;

    -- New entries are found without locks, so a call without any waits for nothing.
    INSERT INTO slot_news (n, slot, epoch, server, rival, refused)
    SELECT j.n,
           j.slot,
           j.epoch,
           j.server,
           j.claimed,
           COALESCE(j.epoch > GREATEST(COALESCE(f.epoch, k.epoch), COALESCE(f.heard_epoch, 0),
                                       COALESCE(k.epoch, 0)) + 1000, 0)
      FROM JSON_TABLE(in_entries, '$[*]' COLUMNS (
               n       FOR ORDINALITY,
               slot    INT UNSIGNED PATH '$.slot',
               epoch   BIGINT UNSIGNED PATH '$.epoch',
               server  VARCHAR(32) PATH '$.server',
               claimed TINYINT UNSIGNED PATH '$.claimed' DEFAULT '0' ON EMPTY
           )) AS j
      LEFT JOIN slot_known AS k FORCE INDEX (PRIMARY)
        ON k.slot = j.slot
      LEFT JOIN slot_fence AS f FORCE INDEX (PRIMARY)
        ON f.slot = j.slot
     WHERE j.epoch > COALESCE(k.epoch, 0)
        OR j.epoch > GREATEST(f.epoch, f.heard_epoch)
        OR (j.claimed = 1 AND j.server <> v_self AND f.state IN ('owned', 'migrating')
            AND j.epoch = f.epoch AND j.epoch > f.rival_epoch);

    SELECT COUNT(*) - COALESCE(SUM(n.refused), 0),
           COALESCE(SUM(n.refused), 0)
      INTO v_learned,
           v_refused
      FROM slot_news AS n;

    DELETE FROM slot_news
     WHERE slot_news.refused = 1;

    -- All fences first, by slot: the LIMIT makes the sorted list a table of its own, which
    -- drives the join.
    UPDATE (SELECT n.slot,
                   MAX(n.epoch) AS epoch,
                   MAX(IF(n.rival = 1 AND n.server <> v_self, n.epoch, 0)) AS rival_epoch
              FROM slot_news AS n
             GROUP BY n.slot
             ORDER BY n.slot
             LIMIT 2048) AS w
     STRAIGHT_JOIN slot_fence AS f FORCE INDEX (PRIMARY)
        ON f.slot = w.slot
       SET f.heard_epoch = GREATEST(f.heard_epoch, w.epoch),
           f.rival_epoch = IF(w.rival_epoch = f.epoch AND f.state IN ('owned', 'migrating'),
                              f.epoch, f.rival_epoch);

    IF ROW_COUNT() > 0 THEN
        CALL _slot_changed();
    END IF;

    INSERT INTO slot_known (slot, epoch, server)
    SELECT n.slot,
           n.epoch,
           n.server
      FROM slot_news AS n
     ORDER BY n.slot,
              n.epoch
        ON DUPLICATE KEY UPDATE
           server = IF(VALUES(epoch) > slot_known.epoch, VALUES(server), slot_known.server),
           epoch  = GREATEST(slot_known.epoch, VALUES(epoch));

    COMMIT;

    SELECT v_learned AS learned,
           v_refused AS refused;
END$$

DELIMITER ;
