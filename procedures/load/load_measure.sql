-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- load_measure: count the rows of a few slots of this shard, and remember them.
--
-- in_rows   stop when so many were counted; the last slot is counted whole
-- in_slots  stop after so many slots; at most 1024
--
-- A step of background work, by any number of servers: it takes random slots, none twice within ten
-- minutes, and rests after a large one, so that on average five rows per ms are read, however often
-- it is called. A shared slot is counted in each table by its key; its bytes are that part of each
-- table's. Of own slots, which have partitions of their own, the server's own statistics are taken
-- and nothing is read.
--
-- Answer  : measured (slots), counted (rows), unmeasured (slots that never were, so far)
-- Touches : CREATE, DELETE, INSERT load_table, load_size (the session's own, in memory);
--           SELECT slot_fence, slot_load (all rows), information_schema (tables,
--           partitions), every owner table (by slot); INSERT, UPDATE slot_load (by slot)
-- Errors  : 45400 no such numbers
-- Replays : goes on where it stopped

DROP PROCEDURE IF EXISTS load_measure;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE load_measure (
    IN in_rows  BIGINT UNSIGNED,
    IN in_slots INT UNSIGNED
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: rows and bytes of slots'
BEGIN
    DECLARE v_now      BIGINT DEFAULT _now_ms();
    DECLARE v_rests    BIGINT;
    DECLARE v_slot     INT UNSIGNED;
    DECLARE v_rows     BIGINT UNSIGNED;
    DECLARE v_bytes    BIGINT UNSIGNED;
    DECLARE v_counted  BIGINT UNSIGNED DEFAULT 0;
    DECLARE v_measured INT UNSIGNED DEFAULT 0;
    DECLARE v_due      INT UNSIGNED;

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    IF NOT COALESCE(in_rows >= 1 AND in_slots BETWEEN 1 AND 1024, FALSE) THEN
        SIGNAL SQLSTATE '45400' SET MESSAGE_TEXT = 'load_measure needs rows, and 1 to 1024 slots';
    END IF;

    CREATE TEMPORARY TABLE IF NOT EXISTS load_table (
        tbl       VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL
            COMMENT 'owner table',
        row_bytes DOUBLE NOT NULL
            COMMENT 'of each of its rows, with indexes',
        PRIMARY KEY (tbl)
    )
        ENGINE = MEMORY;

    CREATE TEMPORARY TABLE IF NOT EXISTS load_size (
        slot       INT UNSIGNED NOT NULL
            COMMENT 'that was measured',
        size_rows  BIGINT UNSIGNED NOT NULL
            COMMENT 'in all owner tables',
        size_bytes BIGINT UNSIGNED NOT NULL
            COMMENT 'estimate, with indexes',
        PRIMARY KEY (slot)
    )
        ENGINE = MEMORY;

    DELETE FROM load_table;
    DELETE FROM load_size;

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    SELECT COALESCE(MAX(w.measured_at + COALESCE(w.size_rows, 0) DIV 5), 0)
      INTO v_rests
      FROM slot_load AS w
     WHERE w.slot < 1024;

    SELECT COUNT(*)
      INTO v_due
      FROM slot_fence AS f
      LEFT JOIN slot_load AS w FORCE INDEX (PRIMARY)
        ON w.slot = f.slot
     WHERE f.state IN ('owned', 'migrating')
       AND COALESCE(w.measured_at, 0) < v_now - 600000;

    -- Reading the statistics has a cost, too.
    IF v_due > 0 AND v_rests <= v_now THEN
        INSERT INTO load_table (tbl, row_bytes)
        SELECT i.table_name,
               (i.data_length + i.index_length) / GREATEST(i.table_rows, 1)
          FROM information_schema.tables AS i
         WHERE i.table_schema = DATABASE()
           AND i.table_type = 'BASE TABLE'
           AND i.engine = 'InnoDB';

        INSERT INTO load_size (slot, size_rows, size_bytes)
        SELECT f.slot,
               q.size_rows,
               q.size_bytes
          FROM (SELECT CAST(i.partition_description AS UNSIGNED) AS part,
                       SUM(i.table_rows) AS size_rows,
                       SUM(i.data_length + i.index_length) AS size_bytes
                  FROM information_schema.partitions AS i
                 WHERE i.table_schema = DATABASE()
                   AND i.partition_description REGEXP '^[1-9][0-9]{3,}$'
                 GROUP BY CAST(i.partition_description AS UNSIGNED)) AS q
          JOIN slot_fence AS f
            ON f.slot >= 1024
           AND (f.slot DIV 1024) * f.slot = q.part;

        SET v_due = LEAST(v_due, in_slots);
    ELSE
        SET v_due = 0;
    END IF;

    -- At random, preferring new ones, so that a slot whose count is always interrupted does not
    -- keep others from their turn. Nothing is locked while rows are counted; a SET from a SELECT
    -- would lock what it reads.
    WHILE v_measured < v_due AND v_counted < in_rows DO
        SELECT MAX(q.slot)
          INTO v_slot
          FROM (SELECT f.slot
                  FROM slot_fence AS f
                  LEFT JOIN slot_load AS w FORCE INDEX (PRIMARY)
                    ON w.slot = f.slot
                  LEFT JOIN load_size AS z
                    ON z.slot = f.slot
                 WHERE f.state IN ('owned', 'migrating')
                   AND f.slot < 1024
                   AND COALESCE(w.measured_at, 0) < v_now - 600000
                   AND z.slot IS NULL
                 ORDER BY RAND() + IF(COALESCE(w.measured_at, 0) = 0, 0, 0.5)
                 LIMIT 1) AS q;

        IF v_slot IS NULL THEN
            SET v_due = v_measured;
        ELSE
            SELECT COALESCE(SUM(c.n), 0),
                   ROUND(COALESCE(SUM(c.n * b.row_bytes), 0))
              INTO v_rows,
                   v_bytes
              FROM (
                SELECT 'account' AS tbl,
                       COUNT(*) AS n
                  FROM account AS t
                 WHERE t.slot = v_slot
                 UNION ALL
                SELECT 'user' AS tbl,
                       COUNT(*) AS n
                  FROM user AS t
                 WHERE t.slot = v_slot
                 UNION ALL
                SELECT 'inbound' AS tbl,
                       COUNT(*) AS n
                  FROM inbound AS t
                 WHERE t.slot = v_slot
                 UNION ALL
                SELECT 'session' AS tbl,
                       COUNT(*) AS n
                  FROM session AS t
                 WHERE t.slot = v_slot
                 UNION ALL
                SELECT 'video' AS tbl,
                       COUNT(*) AS n
                  FROM video AS t
                 WHERE t.slot = v_slot
                 UNION ALL
                SELECT 'job' AS tbl,
                       COUNT(*) AS n
                  FROM job AS t
                 WHERE t.slot = v_slot
                 UNION ALL
                SELECT 'follow' AS tbl,
                       COUNT(*) AS n
                  FROM follow AS t
                 WHERE t.slot = v_slot
                 UNION ALL
                SELECT 'follower' AS tbl,
                       COUNT(*) AS n
                  FROM follower AS t
                 WHERE t.slot = v_slot
                 UNION ALL
                SELECT 'favorite' AS tbl,
                       COUNT(*) AS n
                  FROM favorite AS t
                 WHERE t.slot = v_slot
                 UNION ALL
                SELECT 'liker' AS tbl,
                       COUNT(*) AS n
                  FROM liker AS t
                 WHERE t.slot = v_slot
                 UNION ALL
                SELECT 'comment' AS tbl,
                       COUNT(*) AS n
                  FROM comment AS t
                 WHERE t.slot = v_slot
                 UNION ALL
                SELECT 'commented' AS tbl,
                       COUNT(*) AS n
                  FROM commented AS t
                 WHERE t.slot = v_slot
                 UNION ALL
                SELECT 'chat' AS tbl,
                       COUNT(*) AS n
                  FROM chat AS t
                 WHERE t.slot = v_slot
                 UNION ALL
                SELECT 'message' AS tbl,
                       COUNT(*) AS n
                  FROM message AS t
                 WHERE t.slot = v_slot
                 UNION ALL
                SELECT 'outbox' AS tbl,
                       COUNT(*) AS n
                  FROM outbox AS t
                 WHERE t.slot = v_slot
                 UNION ALL
                SELECT 'idem' AS tbl,
                       COUNT(*) AS n
                  FROM idem AS t
                 WHERE t.slot = v_slot
                 UNION ALL
                SELECT 'owner_home' AS tbl,
                       COUNT(*) AS n
                  FROM owner_home AS t
                 WHERE t.slot = v_slot
                   ) AS c
              JOIN load_table AS b
                ON b.tbl = c.tbl;

            INSERT INTO load_size (slot, size_rows, size_bytes)
            VALUES (v_slot, v_rows, v_bytes);

            SET v_counted = v_counted + v_rows;
            SET v_measured = v_measured + 1;
        END IF;
    END WHILE;

    INSERT INTO slot_load (slot, size_rows, size_bytes, measured_at)
    SELECT z.slot,
           z.size_rows,
           z.size_bytes,
           v_now
      FROM load_size AS z
     STRAIGHT_JOIN slot_fence AS f FORCE INDEX (PRIMARY)
        ON f.slot = z.slot
       AND f.state IN ('owned', 'migrating')
     ORDER BY z.slot
        ON DUPLICATE KEY UPDATE
           size_rows   = VALUES(size_rows),
           size_bytes  = VALUES(size_bytes),
           measured_at = VALUES(measured_at);

    SELECT COUNT(*)
      INTO v_due
      FROM slot_fence AS f
      LEFT JOIN slot_load AS w FORCE INDEX (PRIMARY)
        ON w.slot = f.slot
     WHERE f.state IN ('owned', 'migrating')
       AND COALESCE(w.measured_at, 0) = 0;

    COMMIT;

    SELECT v_measured AS measured,
           v_counted AS counted,
           v_due AS unmeasured;
END$$

DELIMITER ;
