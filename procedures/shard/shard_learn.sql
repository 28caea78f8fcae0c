-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- shard_learn: tell this shard the counters of the shards.
--
-- in_entries  array of 1 to 1024 objects, at most 262144 bytes, each with
--               name  of a shard
--               beat  unsigned integer: its counter, as it had it on disk
--
-- Counters that are not higher than those remembered change nothing. If this shard's own entry is
-- above its counter, its data is old: it refuses itself (see shard_refuse), after every write that
-- has passed its fence.
--
-- Answer  : learned (how many numbers), refused (1: this shard is refused)
-- Touches : SELECT, UPDATE shard_self; SELECT shard_beat; SELECT, INSERT, UPDATE shard_known
--           (by name); UPDATE slot_fence (all rows), slot_gen
-- Errors  : 45400 no such array, or an entry in it is malformed
-- Replays : changes nothing more

DROP PROCEDURE IF EXISTS shard_learn;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE shard_learn (
    IN in_entries JSON
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: learn how far the shards had counted'
BEGIN
    DECLARE v_n       INT;
    DECLARE v_news    INT;
    DECLARE v_self    VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin;
    DECLARE v_own     BIGINT UNSIGNED;
    DECLARE v_told    BIGINT UNSIGNED;
    DECLARE v_refused INT;
    DECLARE v_why     VARCHAR(200);

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    IF NOT COALESCE(LENGTH(in_entries) <= 262144
                    AND JSON_TYPE(in_entries) = 'ARRAY'
                    AND JSON_LENGTH(in_entries) BETWEEN 1 AND 1024, FALSE) THEN
        SIGNAL SQLSTATE '45400'
           SET MESSAGE_TEXT = 'in_entries needs 1 to 1024 entries, at most 262144 bytes';
    END IF;

    SELECT MIN(j.n)
      INTO v_n
      FROM JSON_TABLE(in_entries, '$[*]' COLUMNS (
               n    FOR ORDINALITY,
               name VARCHAR(33) PATH '$.name',
               beat VARCHAR(24) PATH '$.beat'
           )) AS j
     WHERE NOT COALESCE(j.name REGEXP '^[A-Za-z0-9][A-Za-z0-9_.-]{0,31}$'
                        AND CAST(CAST(j.beat AS UNSIGNED) AS CHAR) = j.beat
                        AND CAST(j.beat AS UNSIGNED) <= 9007199254740991, FALSE);

    CALL _op_refuse(v_n, 'name and beat');

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    SELECT MAX(ss.name)
      INTO v_self
      FROM shard_self AS ss;

    SELECT COALESCE(MAX(sb.beat), 0)
      INTO v_own
      FROM shard_beat AS sb;

    -- New entries are found without locks.
    SELECT COALESCE(SUM(j.beat > COALESCE(k.beat, 0)), 0),
           COALESCE(MAX(IF(j.name = v_self, j.beat, 0)), 0)
      INTO v_news,
           v_told
      FROM JSON_TABLE(in_entries, '$[*]' COLUMNS (
               name VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin PATH '$.name',
               beat BIGINT UNSIGNED PATH '$.beat'
           )) AS j
      LEFT JOIN shard_known AS k FORCE INDEX (PRIMARY)
        ON k.name = j.name;

    IF v_news > 0 OR v_told > v_own THEN
        IF v_told > v_own THEN
            SELECT COUNT(ss.refused_at)
              INTO v_refused
              FROM shard_self AS ss
               FOR UPDATE;

            IF v_refused = 0 THEN
                SET v_why = CONCAT('it has counted to ', v_own, ', and others remember ', v_told,
                                   ': its data is older than it was');
                CALL _shard_refuse(v_why);
            END IF;
        END IF;

        INSERT INTO shard_known (name, beat, heard_at)
        SELECT j.name,
               MAX(j.beat),
               _now_ms()
          FROM JSON_TABLE(in_entries, '$[*]' COLUMNS (
                   name VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin PATH '$.name',
                   beat BIGINT UNSIGNED PATH '$.beat'
               )) AS j
         WHERE j.name <> v_self OR j.beat > v_own
         GROUP BY j.name
         ORDER BY j.name
            ON DUPLICATE KEY UPDATE
               heard_at = IF(VALUES(beat) > shard_known.beat, VALUES(heard_at),
                             shard_known.heard_at),
               beat     = GREATEST(shard_known.beat, VALUES(beat));
    END IF;

    SELECT COUNT(ss.refused_at)
      INTO v_refused
      FROM shard_self AS ss;

    COMMIT;

    SELECT v_news AS learned,
           v_refused AS refused;
END$$

DELIMITER ;
