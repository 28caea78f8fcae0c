-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- purge_step: one step of what is due to be purged on this shard.
--
-- in_limit  look at so many rows, 1 to 1000
--
-- Reads one table in the order of its key, and removes rows not needed for long enough: tombstones
-- of edges (those whose target never existed at once), expired sessions, keys of requests. The
-- table purge_pass keeps the progress, in the same transaction: the next caller, from any server,
-- goes on there. Two callers at a time do one step after the other.
--
-- Answer  : kind (empty: nothing is due), looked, removed (rows), wait_ms (nothing is due for
--           so long; 0: go on)
-- Touches : SELECT, UPDATE purge_pass (by due_at, FOR UPDATE); see _purge_find, _purge_remove
-- Errors  : 45400 no limit, or out of range
-- Replays : goes on

DROP PROCEDURE IF EXISTS purge_step;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE purge_step (
    IN in_limit INT
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: one step of purging'
BEGIN
    DECLARE v_now     BIGINT DEFAULT _now_ms();
    DECLARE v_kind    VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin DEFAULT '';
    DECLARE v_before  BIGINT;
    DECLARE v_slot    INT UNSIGNED;
    DECLARE v_k1      BIGINT UNSIGNED;
    DECLARE v_k2      BIGINT UNSIGNED;
    DECLARE v_k3      BIGINT UNSIGNED;
    DECLARE v_ks      VARBINARY(16);
    DECLARE v_looked  INT DEFAULT 0;
    DECLARE v_old     INT DEFAULT 0;
    DECLARE v_removed BIGINT DEFAULT 0;
    DECLARE v_next    BIGINT;

    DECLARE CONTINUE HANDLER FOR NOT FOUND SET v_kind = '';
    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    IF NOT COALESCE(in_limit BETWEEN 1 AND 1000, FALSE) THEN
        SIGNAL SQLSTATE '45400' SET MESSAGE_TEXT = 'purge_step needs a limit of 1 to 1000';
    END IF;

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    SELECT p.kind,
           v_now - p.older_ms,
           p.slot,
           p.k1,
           p.k2,
           p.k3,
           p.ks,
           IF(p.running, p.removed, 0)
      INTO v_kind,
           v_before,
           v_slot,
           v_k1,
           v_k2,
           v_k3,
           v_ks,
           v_removed
      FROM purge_pass AS p FORCE INDEX (due)
     WHERE p.due_at <= v_now
     ORDER BY p.due_at,
              p.kind
     LIMIT 1
       FOR UPDATE;

    IF v_kind <> '' THEN
        UPDATE purge_pass AS p
           SET p.running    = 1,
               p.looked     = 0,
               p.removed    = 0,
               p.started_at = v_now
         WHERE p.kind = v_kind
           AND p.running = 0;

        CALL _purge_find(v_kind, v_slot, v_k1, v_k2, v_k3, v_ks, v_before, in_limit);

        SELECT COUNT(*),
               COALESCE(SUM(r.old), 0)
          INTO v_looked,
               v_old
          FROM purge_row AS r;

        IF v_old > 0 THEN
            CALL _purge_remove(v_kind, v_before);
        END IF;

        -- After a full window the pass goes on after its last row; otherwise it is over.
        UPDATE purge_pass AS p
          LEFT JOIN purge_row AS r
            ON r.n = in_limit
           SET p.slot        = COALESCE(r.slot, 0),
               p.k1          = COALESCE(r.k1, 0),
               p.k2          = COALESCE(r.k2, 0),
               p.k3          = COALESCE(r.k3, 0),
               p.ks          = COALESCE(r.ks, ''),
               p.running     = v_looked = in_limit,
               p.looked      = p.looked + v_looked,
               p.finished_at = IF(v_looked = in_limit, p.finished_at, v_now),
               p.due_at      = IF(v_looked = in_limit, v_now, v_now + p.every_ms)
         WHERE p.kind = v_kind;

        SELECT p.removed - v_removed
          INTO v_removed
          FROM purge_pass AS p
         WHERE p.kind = v_kind;
    END IF;

    SELECT MIN(p.due_at)
      INTO v_next
      FROM purge_pass AS p;

    COMMIT;

    SELECT v_kind AS kind,
           v_looked AS looked,
           v_removed AS removed,
           GREATEST(v_next - v_now, 0) AS wait_ms;
END$$

DELIMITER ;
