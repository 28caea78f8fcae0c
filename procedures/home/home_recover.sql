-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- home_recover: restore forwarding entries that this shard, whose data is old, has lost.
--
-- in_entries  array of 1 to 1000 objects, at most 262144 bytes, each as home_list of another shard
--             answers them
--               slot    the own slot
--               owner   id of a user or video that is there; 0: nobody is
--               author  of a video; 0: it is a user
--               op      of a video, 32 hex digits; may be empty
--
-- Own slots are numbered in the order of promotions, and no number is used twice: an entry that
-- leads to a higher one is newer, and stays. Entries of slots that this shard does not have are
-- skipped. Entries that lead to an empty slot are removed: their owners had come back to the slot
-- of their ids, and were lost with it.
--
-- Answer  : recovered, removed (entries)
-- Touches : CREATE, DELETE, INSERT home_back (the session's own, in memory); SELECT, UPDATE
--           slot_fence (by slot); SELECT, INSERT, UPDATE, DELETE owner_home (by slot; of removed
--           ones all rows); slot_gen
-- Errors  : 45400 no such array, or an entry in it is malformed   45503 a slot of them moves
-- Replays : changes nothing more

DROP PROCEDURE IF EXISTS home_recover;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE home_recover (
    IN in_entries JSON
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: bring forwarding entries back'
BEGIN
    DECLARE v_n         INT;
    DECLARE v_recovered INT;
    DECLARE v_removed   INT;
    DECLARE v_text      VARCHAR(128);

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    IF NOT COALESCE(LENGTH(in_entries) <= 262144
                    AND JSON_TYPE(in_entries) = 'ARRAY'
                    AND JSON_LENGTH(in_entries) BETWEEN 1 AND 1000, FALSE) THEN
        SIGNAL SQLSTATE '45400' SET MESSAGE_TEXT = 'home_recover needs 1 to 1000 entries';
    END IF;

    SELECT MIN(j.n)
      INTO v_n
      FROM JSON_TABLE(in_entries, '$[*]' COLUMNS (
               n      FOR ORDINALITY,
               slot   VARCHAR(24) PATH '$.slot',
               owner  VARCHAR(24) PATH '$.owner',
               author VARCHAR(24) PATH '$.author',
               op     VARCHAR(33) PATH '$.op'
           )) AS j
     WHERE NOT COALESCE(CAST(CAST(j.slot AS UNSIGNED) AS CHAR) = j.slot
                        AND CAST(j.slot AS UNSIGNED) BETWEEN 1024 AND 65535
                        AND CAST(CAST(j.owner AS UNSIGNED) AS CHAR) = j.owner
                        AND CAST(j.owner AS UNSIGNED) <= 9007199254740991
                        AND CAST(CAST(j.author AS UNSIGNED) AS CHAR) = j.author
                        AND CAST(j.author AS UNSIGNED) <= 9007199254740991
                        AND j.op REGEXP '^([0-9A-Fa-f]{32})?$', FALSE);

    CALL _op_refuse(v_n, 'slot, owner, author and op');

    CREATE TEMPORARY TABLE IF NOT EXISTS home_back (
        n        SMALLINT UNSIGNED NOT NULL
            COMMENT 'number of the entry',
        slot     INT UNSIGNED NOT NULL
            COMMENT 'of the id',
        owner_id BIGINT UNSIGNED NOT NULL
            COMMENT 'user or video; 0: nobody',
        own_slot INT UNSIGNED NOT NULL
            COMMENT 'where he is',
        author   BIGINT UNSIGNED NOT NULL
            COMMENT 'of a video; 0: it is a user',
        op       BINARY(16) NULL
            COMMENT 'of a video',
        PRIMARY KEY (n),
        KEY by_slot (slot)
    )
        ENGINE = MEMORY;

    DELETE FROM home_back;

    INSERT INTO home_back (n, slot, owner_id, own_slot, author, op)
    SELECT j.n,
           (j.owner DIV 8) MOD 1024,
           j.owner,
           j.slot,
           j.author,
           IF(j.op = '', NULL, UNHEX(j.op))
      FROM JSON_TABLE(in_entries, '$[*]' COLUMNS (
               n      FOR ORDINALITY,
               slot   INT UNSIGNED PATH '$.slot',
               owner  BIGINT UNSIGNED PATH '$.owner',
               author BIGINT UNSIGNED PATH '$.author',
               op     VARCHAR(33) PATH '$.op'
           )) AS j;

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    -- Slots of ids that are here, and those of entries that lead to empty slots.
    SELECT MIN(IF(f.state = 'owned' AND f.journal = 0, NULL, f.slot))
      INTO v_n
      FROM (SELECT DISTINCT IF(b.owner_id > 0, b.slot, h.slot) AS slot
              FROM home_back AS b
              LEFT JOIN owner_home AS h
                ON h.own_slot = b.own_slot
               AND b.owner_id = 0
             ORDER BY slot
             LIMIT 1025) AS t
     STRAIGHT_JOIN slot_fence AS f FORCE INDEX (PRIMARY)
        ON f.slot = t.slot
       AND f.state IN ('owned', 'migrating')
       FOR UPDATE;

    IF v_n IS NOT NULL THEN
        SET v_text = CONCAT('slot ', v_n, ' is being moved, or can still be rolled back: '
                            'finish that move first');
        SIGNAL SQLSTATE '45503' SET MESSAGE_TEXT = v_text;
    END IF;

    DELETE h
      FROM home_back AS b
     STRAIGHT_JOIN owner_home AS h
        ON h.own_slot = b.own_slot
     WHERE b.owner_id = 0;

    SET v_removed = ROW_COUNT();

    DELETE b
      FROM home_back AS b
      LEFT JOIN slot_fence AS f FORCE INDEX (PRIMARY)
        ON f.slot = b.slot
       AND f.state = 'owned'
      LEFT JOIN owner_home AS h FORCE INDEX (PRIMARY)
        ON h.slot = b.slot
       AND h.owner_id = b.owner_id
       AND h.own_slot >= b.own_slot
     WHERE b.owner_id = 0
        OR f.slot IS NULL
        OR h.slot IS NOT NULL;

    SELECT COUNT(*)
      INTO v_recovered
      FROM home_back AS b;

    INSERT INTO owner_home (slot, owner_id, own_slot, author_id, op)
    SELECT b.slot,
           b.owner_id,
           b.own_slot,
           NULLIF(b.author, 0),
           b.op
      FROM home_back AS b
     ORDER BY b.slot,
              b.owner_id
        ON DUPLICATE KEY UPDATE
           own_slot = VALUES(own_slot);

    UPDATE slot_fence AS f
       SET f.has_home = 1
     WHERE f.slot IN (SELECT b.slot
                        FROM home_back AS b);

    IF v_removed > 0 THEN
        UPDATE slot_fence AS f
           SET f.has_home = EXISTS (SELECT 1
                                      FROM owner_home AS h
                                     WHERE h.slot = f.slot)
         WHERE f.has_home = 1;
    END IF;

    IF v_removed + v_recovered > 0 THEN
        CALL _slot_changed();
    END IF;

    COMMIT;

    SELECT v_recovered AS recovered,
           v_removed AS removed;
END$$

DELIMITER ;
