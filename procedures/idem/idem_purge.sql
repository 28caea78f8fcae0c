-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- idem_purge: forget idempotency keys that are too old to be used.
--
-- in_older_ms  those that are older than this, a day (86400000) or more
-- in_limit     at most so many, 1 to 256
--
-- Answer  : purged (as many as in_limit: there may be more)
-- Touches : SELECT idem (by created_at); DELETE idem (by slot and op) in slots that this
--           shard serves; journal
-- Errors  : 45400 an argument is NULL or out of range
-- Replays : goes on with the next ones

DROP PROCEDURE IF EXISTS idem_purge;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE idem_purge (
    IN in_older_ms BIGINT,
    IN in_limit    INT
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: forget old idempotency keys'
BEGIN
    DECLARE v_before BIGINT DEFAULT _now_ms() - in_older_ms;
    DECLARE v_ops    JSON;
    DECLARE v_purged INT DEFAULT 0;

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    IF NOT COALESCE(in_older_ms >= 86400000 AND in_limit BETWEEN 1 AND 256, FALSE) THEN
        SIGNAL SQLSTATE '45400'
           SET MESSAGE_TEXT = 'idem_purge needs older_ms of a day or more, limit 1 to 256';
    END IF;

    -- Candidates, without locks: the oldest, then in the order in which locks are taken.
    SELECT JSON_ARRAYAGG(JSON_OBJECT('slot', c.slot,
                                     'epoch', 0,
                                     'owner', 0,
                                     'op', LOWER(HEX(c.op))))
      INTO v_ops
      FROM (SELECT d.slot,
                   d.op
              FROM (SELECT i.slot,
                           i.op
                      FROM idem AS i FORCE INDEX (oldest)
                     STRAIGHT_JOIN slot_fence AS f FORCE INDEX (PRIMARY)
                        ON f.slot = i.slot
                       AND f.answer = 'ok'
                     WHERE i.created_at < v_before
                     ORDER BY i.created_at
                     LIMIT in_limit) AS d
             ORDER BY d.slot,
                      d.op
             LIMIT 256) AS c;

    IF v_ops IS NOT NULL THEN
        CALL _op_open(v_ops);

        SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
        START TRANSACTION;

        CALL _op_fence();

        DELETE i
          FROM JSON_TABLE(v_ops, '$[*]' COLUMNS (
                   n  FOR ORDINALITY,
                   op VARCHAR(32) PATH '$.op'
               )) AS j
         STRAIGHT_JOIN op AS o
            ON o.n = j.n
         STRAIGHT_JOIN idem AS i FORCE INDEX (PRIMARY)
            ON i.slot = o.slot
           AND i.op = UNHEX(j.op)
         WHERE o.code = 'ok'
           AND i.created_at < v_before;

        SET v_purged = ROW_COUNT();

        INSERT INTO slot_log (slot, tbl, owner, ks)
        SELECT o.slot,
               'idem',
               0,
               UNHEX(j.op)
          FROM JSON_TABLE(v_ops, '$[*]' COLUMNS (
                   n  FOR ORDINALITY,
                   op VARCHAR(32) PATH '$.op'
               )) AS j
         STRAIGHT_JOIN op AS o
            ON o.n = j.n
         WHERE o.code = 'ok'
           AND o.moving = 1;

        COMMIT;
    END IF;

    SELECT v_purged AS purged;
END$$

DELIMITER ;
