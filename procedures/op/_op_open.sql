-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _op_open: begin a batch of writes: check the array and put it into the session's table op.
--
-- in_ops  array of 1 to 256 objects, at most 262144 bytes; each has the unsigned integers
--         slot, epoch (what the router believes) and owner, and they come in the order
--         (slot, owner), which is the order in which locks are taken
--
-- Fills op with n, slot, epoch and owner of every operation; user_id is the owner at first,
-- code is ok. Runs before START TRANSACTION. A change of the table's columns needs a new
-- name for it: pooled connections keep the table they have.
--
-- Touches : CREATE, DELETE, INSERT op (the session's own, in memory)
-- Errors  : 45400 no such array, or an operation in it is malformed or out of order
-- Replays : nothing stays

DROP PROCEDURE IF EXISTS _op_open;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _op_open (
    IN in_ops JSON
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v2: check a batch and put it into the table op'
BEGIN
    DECLARE v_count  INT;
    DECLARE v_gap    INT;
    DECLARE v_behind INT;

    CALL _op_size(in_ops);

    CREATE TEMPORARY TABLE IF NOT EXISTS op (
        n       SMALLINT UNSIGNED NOT NULL
            COMMENT 'number of the operation; rows are inserted and locks taken in its order',
        code    VARCHAR(12) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT 'ok'
            COMMENT 'ok while the operation goes on, in the end how it ended',
        slot    INT UNSIGNED NOT NULL
            COMMENT 'slot of the operation; for moved the one to use from now on',
        epoch   BIGINT UNSIGNED NOT NULL
            COMMENT 'epoch of the slot: what the caller believes, then what this shard knows',
        server  VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT ''
            COMMENT 'who has the slot at that epoch',
        owner   BIGINT UNSIGNED NOT NULL
            COMMENT 'whom the operation is about; 0: a name',
        user_id BIGINT UNSIGNED NOT NULL
            COMMENT 'user whose row is to be locked; at first the owner',
        moving  TINYINT UNSIGNED NOT NULL DEFAULT 0
            COMMENT '1: changes are to be journaled',
        id      BIGINT UNSIGNED NOT NULL DEFAULT 0
            COMMENT 'result: id that was minted or found; 0: none',
        at      BIGINT NOT NULL DEFAULT 0
            COMMENT 'result: its time in ms since the Unix epoch',
        media   VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT ''
            COMMENT 'result: base name of files',
        kind    VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT ''
            COMMENT 'kind of the outbox row',
        target  BIGINT UNSIGNED NOT NULL DEFAULT 0
            COMMENT 'the other end of an edge, a comment or a chat',
        seq     BIGINT UNSIGNED NOT NULL DEFAULT 0
            COMMENT 'number of a message; 0 for edges',
        state   TINYINT NOT NULL DEFAULT 0
            COMMENT 'what the edge is to be: 1 or 0',
        was     TINYINT NOT NULL DEFAULT 0
            COMMENT 'what the edge was, as read under the lock of its owner',
        ver     BIGINT UNSIGNED NOT NULL DEFAULT 0
            COMMENT 'version of the edge',
        place   SMALLINT UNSIGNED NOT NULL DEFAULT 1
            COMMENT 'number of the operation among those of its owner, see _op_place',
        PRIMARY KEY (n)
    )
        ENGINE = MEMORY;

    DELETE FROM op;

    -- The array is read once, numbers as text: JSON_TABLE of MariaDB silently makes 0 of a
    -- word, of -1 and the largest number of a too large one. What is malformed stays out and
    -- leaves a gap.
    INSERT INTO op (n, slot, epoch, owner, user_id)
    SELECT j.n,
           j.slot,
           j.epoch,
           j.owner,
           j.owner
      FROM JSON_TABLE(in_ops, '$[*]' COLUMNS (
               n     FOR ORDINALITY,
               slot  VARCHAR(24) PATH '$.slot',
               epoch VARCHAR(24) PATH '$.epoch',
               owner VARCHAR(24) PATH '$.owner'
           )) AS j
     WHERE CONCAT_WS(',', j.slot, j.epoch, j.owner)
           REGEXP '^(0|[1-9][0-9]{0,8}),(0|[1-9][0-9]{0,18}),(0|[1-9][0-9]{0,18})$';

    SELECT COUNT(*),
           MIN(IF(t.n > t.n_before + 1, t.n_before + 1, NULL)),
           MIN(IF(t.slot < t.slot_before OR (t.slot = t.slot_before AND t.owner < t.owner_before),
                  t.n, NULL))
      INTO v_count,
           v_gap,
           v_behind
      FROM (SELECT o.n,
                   o.slot,
                   o.owner,
                   COALESCE(LAG(o.n) OVER (ORDER BY o.n), 0) AS n_before,
                   LAG(o.slot) OVER (ORDER BY o.n) AS slot_before,
                   LAG(o.owner) OVER (ORDER BY o.n) AS owner_before
              FROM op AS o) AS t;

    IF v_gap IS NULL AND v_count < JSON_LENGTH(in_ops) THEN
        SET v_gap = v_count + 1;
    END IF;

    CALL _op_refuse(v_gap, 'unsigned integers slot, epoch and owner');
    CALL _op_refuse(v_behind, 'a place after the one before it: order is (slot, owner)');
END$$

DELIMITER ;
