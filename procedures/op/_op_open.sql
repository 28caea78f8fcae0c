-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _op_open: begin a batch of writes: check the array and empty the session's table `op`.
--
-- in_ops  the batch, see _op_check; in the order (slot, owner)
--
-- Runs before START TRANSACTION. A change of the table's columns needs a new name for it:
-- pooled connections keep the table they have.
--
-- Touches : CREATE, DELETE op (the session's own, in memory)
-- Errors  : 45400 see _op_check
-- Replays : nothing stays

DROP PROCEDURE IF EXISTS _op_open;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _op_open (
    IN in_ops JSON
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: check a batch and empty the table op'
BEGIN
    CALL _op_check(in_ops, TRUE);

    CREATE TEMPORARY TABLE IF NOT EXISTS op (
        n       SMALLINT UNSIGNED NOT NULL
            COMMENT 'number of the operation; rows are inserted and locks taken in its order',
        code    VARCHAR(12) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
            COMMENT 'ok while the operation goes on, in the end how it ended',
        slot    INT UNSIGNED NOT NULL
            COMMENT 'slot of the operation; for moved the one to use from now on',
        epoch   BIGINT UNSIGNED NOT NULL
            COMMENT 'epoch of the slot, as far as this shard knows',
        server  VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
            COMMENT 'who has the slot at that epoch',
        owner   BIGINT UNSIGNED NOT NULL
            COMMENT 'whom the operation is about; 0: a name',
        user_id BIGINT UNSIGNED NOT NULL
            COMMENT 'user whose row is to be locked; at first the owner',
        moving  TINYINT UNSIGNED NOT NULL
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
        place   SMALLINT UNSIGNED NOT NULL DEFAULT 0
            COMMENT 'number of the operation among those of its owner',
        PRIMARY KEY (n)
    )
        ENGINE = MEMORY;

    DELETE FROM op;
END$$

DELIMITER ;
