-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
-- Version 1: what a shard knows of itself and of the placement of slots.
--
-- Every CREATE says IF NOT EXISTS and the version records itself last, so that a break in
-- the middle is mended by running the file again. scripts/migrate sets @schema_checksum.

USE doushard;

CREATE TABLE IF NOT EXISTS schema_version (
    version    INT UNSIGNED NOT NULL
        COMMENT 'number of the file in procedures/schema/',
    slug       VARCHAR(64) NOT NULL
        COMMENT 'name of that file without number',
    applied_at BIGINT NOT NULL
        COMMENT 'ms since the Unix epoch',
    applied_by VARCHAR(128) NOT NULL
        COMMENT 'account that ran it',
    checksum   VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
        COMMENT 'SHA-256 of the file as hex; empty when run by hand',
    PRIMARY KEY (version)
)
    ENGINE = InnoDB
    DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
    COMMENT 'installed versions of the tables; forward only';

CREATE TABLE IF NOT EXISTS shard_self (
    one          TINYINT UNSIGNED NOT NULL
        COMMENT 'always 1: this table has one row',
    name         VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
        COMMENT 'name of this shard in every topology; never changed',
    installed_at BIGINT NOT NULL
        COMMENT 'ms since the Unix epoch; set by shard_init',
    PRIMARY KEY (one),
    CONSTRAINT shard_self_is_one_row CHECK (one = 1)
)
    ENGINE = InnoDB
    DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
    COMMENT 'who this shard is';

CREATE TABLE IF NOT EXISTS slot_fence (
    slot        INT UNSIGNED NOT NULL
        COMMENT 'placement; 0..1023 shared, 1024 and up one owner each',
    epoch       BIGINT UNSIGNED NOT NULL
        COMMENT 'raised by one by every change of the owner',
    state       ENUM ('owned', 'migrating', 'moved', 'importing', 'ready') NOT NULL
        COMMENT 'what this shard is to the slot at that epoch',
    server      VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
        COMMENT 'shard that has, or is to have, the slot at that epoch',
    token       BINARY(16) NULL
        COMMENT 'names one move; a flip is only finished by who knows it',
    has_home    TINYINT UNSIGNED NOT NULL DEFAULT 0
        COMMENT '1: owner_home has rows of this slot',
    journal     TINYINT UNSIGNED NOT NULL DEFAULT 0
        COMMENT '1: writes are journaled although the slot is not migrating',
    heard_epoch BIGINT UNSIGNED NOT NULL DEFAULT 0
        COMMENT 'highest epoch heard (slot_learn); above epoch: this shard is out of date',
    changed_at  BIGINT NOT NULL DEFAULT 0
        COMMENT 'ms since the Unix epoch; last change of epoch or state',
    answer      VARCHAR(8) CHARACTER SET ascii COLLATE ascii_bin
        GENERATED ALWAYS AS (
            CASE WHEN heard_epoch > epoch
                 THEN 'moved'
                 WHEN state IN ('owned', 'migrating')
                 THEN 'ok'
                 WHEN state IN ('importing', 'ready')
                 THEN 'notready'
                 ELSE 'moved'
            END
        ) STORED
        COMMENT 'what a call that needs the slot is answered',
    PRIMARY KEY (slot),
    KEY served (answer, slot)
)
    ENGINE = InnoDB
    DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
    COMMENT 'does this shard own the slot: share-locked by every write until its commit';

CREATE TABLE IF NOT EXISTS slot_seq (
    slot INT UNSIGNED NOT NULL
        COMMENT 'placement; 0..1023 shared, 1024 and up one owner each',
    last BIGINT NOT NULL
        COMMENT 'number of the newest id: (ms since 2025-01-01 UTC) * 8 + low bits',
    PRIMARY KEY (slot),
    CONSTRAINT slot_seq_is_shared CHECK (slot < 1024)
)
    ENGINE = InnoDB
    DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
    COMMENT 'mint of user and video ids; the row moves with the slot';

CREATE TABLE IF NOT EXISTS slot_known (
    slot   INT UNSIGNED NOT NULL
        COMMENT 'placement; 0..1023 shared, 1024 and up one owner each',
    epoch  BIGINT UNSIGNED NOT NULL
        COMMENT 'highest epoch this shard has heard of',
    server VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
        COMMENT 'shard that has the slot at that epoch',
    PRIMARY KEY (slot)
)
    ENGINE = InnoDB
    DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
    COMMENT 'where every slot is, as far as this shard knows';

CREATE TABLE IF NOT EXISTS slot_log (
    id    BIGINT UNSIGNED NOT NULL AUTO_INCREMENT
        COMMENT 'not in order of commit: drained by id, never by range',
    slot  INT UNSIGNED NOT NULL
        COMMENT 'placement; 0..1023 shared, 1024 and up one owner each',
    tbl   VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
        COMMENT 'table that changed',
    owner BIGINT UNSIGNED NOT NULL
        COMMENT 'owner of the changed row; 0 when it has none (account)',
    k1    BIGINT UNSIGNED NULL
        COMMENT 'first numeric key column after slot',
    k2    BIGINT UNSIGNED NULL
        COMMENT 'second; NULL with all that follow: every row below k1',
    k3    BIGINT UNSIGNED NULL
        COMMENT 'third',
    k4    BIGINT UNSIGNED NULL
        COMMENT 'fourth',
    ks    VARBINARY(128) NULL
        COMMENT 'key column that is no number; NULL: every row of the owner',
    PRIMARY KEY (id),
    KEY drain (slot, id)
)
    ENGINE = InnoDB
    DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
    COMMENT 'keys changed while their slot is moving; slot_seq is not in it, it goes with the flip';

CREATE TABLE IF NOT EXISTS slot_move (
    slot        INT UNSIGNED NOT NULL
        COMMENT 'placement; 0..1023 shared, 1024 and up one owner each',
    epoch       BIGINT UNSIGNED NOT NULL
        COMMENT 'epoch that the move leads to',
    token       BINARY(16) NOT NULL
        COMMENT 'same as in both fences',
    giver       VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
        COMMENT 'shard that gives the slot away',
    taker       VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
        COMMENT 'shard that takes it',
    step        VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
        COMMENT 'how far the move has come',
    checkpoint  JSON NULL
        COMMENT 'where the copy goes on after a break',
    rows_copied BIGINT NOT NULL DEFAULT 0
        COMMENT 'for progress and ETA',
    pause_ms    BIGINT NULL
        COMMENT 'how long writes waited at the flip',
    started_at  BIGINT NOT NULL
        COMMENT 'ms since the Unix epoch',
    finished_at BIGINT NULL
        COMMENT 'ms since the Unix epoch; NULL while it runs',
    last_error  VARCHAR(200) NOT NULL DEFAULT ''
        COMMENT 'why the last attempt stopped',
    PRIMARY KEY (slot, epoch)
)
    ENGINE = InnoDB
    DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
    COMMENT 'moves of slots, running and done';

INSERT INTO schema_version (version, slug, applied_at, applied_by, checksum)
SELECT 1,
       'base',
       TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(3)) DIV 1000,
       CURRENT_USER(),
       COALESCE(@schema_checksum, '')
  FROM (SELECT 1 AS one) AS d
 WHERE NOT EXISTS (SELECT 1
                     FROM schema_version AS sv
                    WHERE sv.version = 1);
