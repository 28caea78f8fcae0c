-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
-- Version 1: what a shard knows of itself and of the placement of slots; accounts, users,
-- sessions, videos, jobs; the rows of users and videos about each other, and the outbox.
--
-- Every CREATE says IF NOT EXISTS and the version records itself last, so that a break in
-- the middle is mended by running the file again. scripts/migrate sets @schema_checksum.
--
-- Owner tables are clustered by (slot, owner): the rows of one owner are one range. Their
-- partitions are by slot DIV 1024 * slot, which is 0 for every shared slot, and for an own slot
-- a number that no other slot has: `shared` holds the former, and a slot from 1024 up gets a
-- partition VALUES IN (slot DIV 1024 * slot) when a user is promoted to it. The server prunes
-- by slot = constant and by slot = column of a join, not by BETWEEN.
--
-- A version of something (card, list, mailbox, edge) is raised by every change of it, to
-- GREATEST(last, epoch << 33) + 1 with the epoch of the slot, which is below 2^20, so that it is
-- exact in a double. A slot that was restored from a backup, moved or promoted has a higher
-- epoch: no version runs backwards there, though rows may. Readers answer
-- GREATEST(version, epoch << 33).

USE doushard;

CREATE TABLE IF NOT EXISTS schema_version (
    version    INT UNSIGNED NOT NULL
        COMMENT 'number of the file in procedures/schema/',
    slug       VARCHAR(64) NOT NULL
        COMMENT 'name of that file without number',
    serves     INT UNSIGNED NOT NULL
        COMMENT 'oldest version whose routines and programs work on these tables',
    applied_at BIGINT NOT NULL
        COMMENT 'ms since the Unix epoch',
    applied_by VARCHAR(128) NOT NULL
        COMMENT 'account that ran it',
    checksum   VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
        COMMENT 'SHA-256 of the file as hex; empty when run by hand',
    PRIMARY KEY (version)
)
    ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
    COMMENT 'installed versions of the tables; forward only';

CREATE TABLE IF NOT EXISTS shard_self (
    one          TINYINT UNSIGNED NOT NULL
        COMMENT 'always 1: this table has one row',
    name         VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
        COMMENT 'name of this shard in every topology; never changed',
    installed_at BIGINT NOT NULL
        COMMENT 'ms since the Unix epoch; set by shard_init',
    paused_at    BIGINT NULL
        COMMENT 'ms since the Unix epoch; NULL: the shard serves, see shard_pause',
    paused_by    VARCHAR(128) NOT NULL DEFAULT ''
        COMMENT 'account that paused it',
    paused_why   VARCHAR(200) NOT NULL DEFAULT ''
        COMMENT 'what for',
    refused_at   BIGINT NULL
        COMMENT 'ms since the Unix epoch; not NULL: old data, paused until shard_admit',
    refused_why  VARCHAR(200) NOT NULL DEFAULT ''
        COMMENT 'how that was found',
    settled_at   BIGINT NULL
        COMMENT 'ms since the Unix epoch; when shard_restored raised the epochs since then',
    draining_at  BIGINT NULL
        COMMENT 'ms since the Unix epoch; not NULL: slots are to leave, none is to come',
    PRIMARY KEY (one),
    CONSTRAINT shard_self_is_one_row CHECK (one = 1)
)
    ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
    COMMENT 'who this shard is';

CREATE TABLE IF NOT EXISTS shard_health (
    one         TINYINT UNSIGNED NOT NULL
        COMMENT 'always 1: this table has one row',
    probes      BIGINT UNSIGNED NOT NULL DEFAULT 0
        COMMENT 'writes made only to see whether one works; by shard_probe',
    probed_at   BIGINT NOT NULL DEFAULT 0
        COMMENT 'ms since the Unix epoch; the last of them',
    free_bytes  BIGINT NULL
        COMMENT 'room where the files of this shard are; by shard_report',
    reported_at BIGINT NOT NULL DEFAULT 0
        COMMENT 'ms since the Unix epoch; when that was so',
    PRIMARY KEY (one),
    CONSTRAINT shard_health_is_one_row CHECK (one = 1)
)
    ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
    COMMENT 'whether this shard can take writes';

-- A shard counts, every 10 seconds, and others remember what it had counted to: one whose own
-- number is below what another remembers has old data (a backup, a copy, a replica that was
-- behind). A number is told to others by who raised it, after the commit: it is on disk by then.
CREATE TABLE IF NOT EXISTS shard_beat (
    one     TINYINT UNSIGNED NOT NULL
        COMMENT 'always 1: this table has one row, from the first beat on',
    beat    BIGINT UNSIGNED NOT NULL
        COMMENT 'about ms since the Unix epoch; only grows',
    beat_at BIGINT NOT NULL
        COMMENT 'ms since the Unix epoch; when it was raised',
    PRIMARY KEY (one),
    CONSTRAINT shard_beat_is_one_row CHECK (one = 1)
)
    ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
    COMMENT 'how far this shard has counted; by shard_tick';

CREATE TABLE IF NOT EXISTS shard_known (
    name     VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
        COMMENT 'name of a shard; this one too, when others remember more of it',
    beat     BIGINT UNSIGNED NOT NULL
        COMMENT 'highest number heard of it',
    heard_at BIGINT NOT NULL
        COMMENT 'ms since the Unix epoch; when that was heard',
    PRIMARY KEY (name)
)
    ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
    COMMENT 'how far the other shards had counted; by shard_learn';

-- Epochs of a slot. Whoever has the slot has it at an epoch, and no two attempts to change that
-- may use the same one: not a move that was given up and begun again, not a settlement, not
-- another shard. A new epoch is above everything that any of the shards which take part ever
-- heard (_slot_epoch_next); a move records its attempt in slot_move before it makes an importing
-- fence. Two fences that claim a slot (owned, migrating) at one epoch are then the sign of a
-- mistake (a copied server, a fence changed by hand): routers find it, slot_learn stops the
-- slot on both sides, slot_settle ends it. Epochs are below 2^20, because versions
-- carry epoch << 33.
CREATE TABLE IF NOT EXISTS slot_fence (
    slot        INT UNSIGNED NOT NULL
        COMMENT 'placement; 0..1023 shared, 1024 and up one owner each',
    epoch       BIGINT UNSIGNED NOT NULL
        COMMENT 'raised by every attempt to change the owner, never used twice',
    state       ENUM ('owned', 'migrating', 'moved', 'importing', 'ready', 'gone') NOT NULL
        COMMENT 'what this shard is to it at that epoch: first two claim it; gone: demoted, empty',
    server      VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
        COMMENT 'shard that has, or is to have, the slot at that epoch; empty: nobody (gone)',
    token       BINARY(16) NULL
        COMMENT 'names one move; a flip is only finished by who knows it',
    has_home    TINYINT UNSIGNED NOT NULL DEFAULT 0
        COMMENT '1: owner_home has rows of this slot',
    journal     TINYINT UNSIGNED NOT NULL DEFAULT 0
        COMMENT '1: writes are journaled although the slot is not migrating',
    flip        BIGINT UNSIGNED NOT NULL DEFAULT 0
        COMMENT 'not 0 inside the transaction of a flip only: the session that it runs in',
    heard_epoch BIGINT UNSIGNED NOT NULL DEFAULT 0
        COMMENT 'highest epoch heard (slot_learn); above epoch: this shard is out of date',
    rival_epoch BIGINT UNSIGNED NOT NULL DEFAULT 0
        COMMENT 'epoch at which another shard claims the slot; not below epoch: neither serves',
    paused      TINYINT UNSIGNED NOT NULL DEFAULT 0
        COMMENT '1: the shard is paused (shard_self.paused_at), no slot is served',
    changed_at  BIGINT NOT NULL DEFAULT 0
        COMMENT 'ms since the Unix epoch; last change of epoch or state',
    answer      VARCHAR(8) CHARACTER SET ascii COLLATE ascii_bin
        GENERATED ALWAYS AS (
            CASE WHEN heard_epoch > epoch OR rival_epoch >= epoch
                 THEN 'moved'
                 WHEN state IN ('moved', 'gone')
                 THEN 'moved'
                 WHEN state IN ('owned', 'migrating') AND paused = 0
                 THEN 'ok'
                 ELSE 'notready'
            END
        ) STORED
        COMMENT 'what a call that needs the slot is answered',
    PRIMARY KEY (slot),
    KEY served (answer, slot),
    CONSTRAINT slot_fence_epoch_fits CHECK (epoch BETWEEN 1 AND 1048575)
)
    ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
    COMMENT 'does this shard own the slot: share-locked by every write until its commit';

CREATE TABLE IF NOT EXISTS slot_gen (
    one TINYINT UNSIGNED NOT NULL
        COMMENT 'always 1: this table has one row, from the first fence on',
    gen BIGINT UNSIGNED NOT NULL
        COMMENT 'random, not 0; another one after every change of slot_fence',
    PRIMARY KEY (one),
    CONSTRAINT slot_gen_is_one_row CHECK (one = 1)
)
    ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
    COMMENT 'names what slot_fence says: two reads with one gen found the same fences';

CREATE TABLE IF NOT EXISTS slot_seq (
    slot     INT UNSIGNED NOT NULL
        COMMENT 'placement; 0..1023 shared, 1024 and up one owner each',
    last BIGINT NOT NULL
        COMMENT 'number of the newest id: (ms since 2025-01-01 UTC) * 8 + low bits',
    own_last INT UNSIGNED NOT NULL DEFAULT 0
        COMMENT 'of slot 0 only: the last number that was given to an own slot; none comes twice',
    PRIMARY KEY (slot),
    CONSTRAINT slot_seq_is_shared CHECK (slot < 1024)
)
    ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
    COMMENT 'mint of user and video ids; the row moves with the slot';

CREATE TABLE IF NOT EXISTS slot_known (
    slot   INT UNSIGNED NOT NULL
        COMMENT 'placement; 0..1023 shared, 1024 and up one owner each',
    epoch  BIGINT UNSIGNED NOT NULL
        COMMENT 'highest epoch this shard has heard of',
    server VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
        COMMENT 'shard that has the slot at that epoch',
    PRIMARY KEY (slot),
    CONSTRAINT slot_known_epoch_fits CHECK (epoch BETWEEN 1 AND 1048575)
)
    ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
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
    ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
    COMMENT 'keys changed while their slot is moving; slot_seq goes with the flip';

CREATE TABLE IF NOT EXISTS slot_move (
    move_id       BIGINT UNSIGNED NOT NULL AUTO_INCREMENT
        COMMENT 'names the move on the shard that gives',
    slot          INT UNSIGNED NOT NULL
        COMMENT 'what moves',
    kind          ENUM ('move', 'promote', 'demote') NOT NULL DEFAULT 'move'
        COMMENT 'a slot to another shard; one owner to a slot of his own, or back',
    giver         VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
        COMMENT 'shard that gives the slot away: this one',
    taker         VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
        COMMENT 'shard that takes it',
    owner_id      BIGINT UNSIGNED NOT NULL DEFAULT 0
        COMMENT 'promote, demote: the user; else 0',
    own_slot      INT UNSIGNED NOT NULL DEFAULT 0
        COMMENT 'promote, demote: his own slot; else 0',
    phase         ENUM ('queued', 'preparing', 'copying', 'draining', 'verifying', 'flipping',
                        'keeping', 'reverting', 'purging', 'undoing', 'done', 'undone', 'failed')
                  NOT NULL DEFAULT 'queued'
        COMMENT 'how far it has come; the last three: it is over',
    wish          ENUM ('go', 'pause', 'cancel', 'finish', 'rollback') NOT NULL DEFAULT 'go'
        COMMENT 'what the operator wants of it',
    keep_ms       BIGINT NOT NULL
        COMMENT 'so long after the flip it can be rolled back',
    rows_per_s    INT UNSIGNED NOT NULL DEFAULT 0
        COMMENT 'copied, compared, removed at most; 0: as many as the load of both shards allows',
    epoch         BIGINT UNSIGNED NOT NULL DEFAULT 0
        COMMENT 'that it leads to; 0: not begun',
    token         BINARY(16) NULL
        COMMENT 'of the mover that works on it; another one from every claim on',
    term          INT UNSIGNED NOT NULL DEFAULT 0
        COMMENT 'claims so far',
    holder        VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT ''
        COMMENT 'that mover: host and process',
    claimed_until BIGINT NOT NULL DEFAULT 0
        COMMENT 'ms since the Unix epoch; then any mover may take it over',
    rows_total    BIGINT NOT NULL DEFAULT 0
        COMMENT 'rows of the slot when it began',
    rows_copied   BIGINT NOT NULL DEFAULT 0
        COMMENT 'so far',
    bytes_copied  BIGINT NOT NULL DEFAULT 0
        COMMENT 'so far, as JSON',
    rows_verified BIGINT NOT NULL DEFAULT 0
        COMMENT 'compared by their sums so far',
    backlog       BIGINT NOT NULL DEFAULT 0
        COMMENT 'keys in the journal',
    drained_at    BIGINT NOT NULL DEFAULT 0
        COMMENT 'ms since the Unix epoch; when keys of the journal had arrived last',
    rate          BIGINT NOT NULL DEFAULT 0
        COMMENT 'rows a second, lately',
    throttle      VARCHAR(64) NOT NULL DEFAULT ''
        COMMENT 'why it is slower than it could be; empty: it is not',
    flips         INT UNSIGNED NOT NULL DEFAULT 0
        COMMENT 'times that the fence was locked for the flip',
    restarts      INT UNSIGNED NOT NULL DEFAULT 0
        COMMENT 'times that it was begun anew, because rows differed or the journal was lost',
    at_tbl        VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT ''
        COMMENT 'promote, demote: table that is being copied; empty: none yet',
    at_key        VARCHAR(512) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT ''
        COMMENT 'promote, demote: last key that was copied of it; empty: none yet',
    pause_us      BIGINT NULL
        COMMENT 'how long writes of the slot waited at the flip',
    requested_at  BIGINT NOT NULL
        COMMENT 'ms since the Unix epoch',
    requested_by  VARCHAR(128) NOT NULL
        COMMENT 'account that asked for it',
    started_at    BIGINT NULL
        COMMENT 'ms since the Unix epoch; first claim',
    flipped_at    BIGINT NULL
        COMMENT 'ms since the Unix epoch; when the other shard got the slot',
    finished_at   BIGINT NULL
        COMMENT 'ms since the Unix epoch; NULL: it is not over',
    last_error    VARCHAR(255) NOT NULL DEFAULT ''
        COMMENT 'why the last attempt stopped',
    active        INT UNSIGNED
        GENERATED ALWAYS AS (IF(finished_at IS NULL, slot, NULL)) STORED
        COMMENT 'one move of a slot at a time',
    PRIMARY KEY (move_id),
    UNIQUE KEY active (active),
    KEY by_slot (slot, epoch),
    KEY by_owner (owner_id, finished_at),
    KEY by_kind (kind, requested_at)
)
    ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
    COMMENT 'moves that this shard was asked to make, running and done';

CREATE TABLE IF NOT EXISTS slot_import (
    slot      INT UNSIGNED NOT NULL
        COMMENT 'what is arriving here, or has arrived last',
    epoch     BIGINT UNSIGNED NOT NULL
        COMMENT 'that of the move',
    term      INT UNSIGNED NOT NULL
        COMMENT 'claims of the move when the mover that copies took it: none before it may',
    giver     VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
        COMMENT 'shard that it comes from',
    is_clean  TINYINT UNSIGNED NOT NULL DEFAULT 0
        COMMENT '1: what lay around of the slot was removed',
    tbl       VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT ''
        COMMENT 'table that is being copied; empty: none yet',
    after_key VARCHAR(512) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT ''
        COMMENT 'last key that was copied of it; empty: none yet',
    row_count BIGINT NOT NULL DEFAULT 0
        COMMENT 'rows copied',
    drained_at BIGINT NOT NULL DEFAULT 0
        COMMENT 'as in slot_move, of the journal that is kept for a rollback',
    PRIMARY KEY (slot)
)
    ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
    COMMENT 'how far the copies of arriving slots are; goes on with their rows';

CREATE TABLE IF NOT EXISTS slot_lost (
    slot INT UNSIGNED NOT NULL
        COMMENT 'whose journal has ended',
    at   BIGINT NOT NULL
        COMMENT 'ms since the Unix epoch; first write that is not in it',
    PRIMARY KEY (slot)
)
    ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
    COMMENT 'journals that grew too long while no mover read them: their moves begin anew';

-- What slots and owners cost here and how large slots are: for plans, not for the service. It is
-- about this shard, so it stays where it is when a slot moves. Sums halve every ten minutes
-- (_load_decay), so that they tell of the last quarter of an hour or so.
CREATE TABLE IF NOT EXISTS slot_load (
    slot        INT UNSIGNED NOT NULL
        COMMENT 'placement; 0..1023 shared, 1024 and up one owner each',
    since       BIGINT NOT NULL DEFAULT 0
        COMMENT 'ms since the Unix epoch; counted since then; 0: never',
    at          BIGINT NOT NULL DEFAULT 0
        COMMENT 'ms since the Unix epoch; the sums are those of then',
    operations  DOUBLE NOT NULL DEFAULT 0
        COMMENT 'decaying sum',
    busy_us     DOUBLE NOT NULL DEFAULT 0
        COMMENT 'decaying sum; time that the CALLs took as servers saw it',
    size_rows   BIGINT UNSIGNED NULL
        COMMENT 'in all owner tables; NULL: not measured yet',
    size_bytes  BIGINT UNSIGNED NULL
        COMMENT 'estimate, with indexes',
    measured_at BIGINT NOT NULL DEFAULT 0
        COMMENT 'ms since the Unix epoch; by load_measure',
    PRIMARY KEY (slot)
)
    ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
    COMMENT 'what slots cost on this shard, and their size';

CREATE TABLE IF NOT EXISTS owner_load (
    slot       INT UNSIGNED NOT NULL
        COMMENT 'placement; 0..1023 shared, 1024 and up one owner each',
    owner_id   BIGINT UNSIGNED NOT NULL
        COMMENT 'user or video',
    since      BIGINT NOT NULL
        COMMENT 'ms since the Unix epoch; counted since then',
    at         BIGINT NOT NULL
        COMMENT 'ms since the Unix epoch; the sums are those of then',
    operations DOUBLE NOT NULL
        COMMENT 'decaying sum',
    busy_us    DOUBLE NOT NULL
        COMMENT 'decaying sum; time that the CALLs took as servers saw it',
    PRIMARY KEY (slot, owner_id)
)
    ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
    COMMENT 'the owners that cost most on this shard; load_add keeps 1000';

CREATE TABLE IF NOT EXISTS account (
    slot       INT UNSIGNED NOT NULL
        COMMENT 'placement; 0..1023 shared, 1024 and up one owner each',
    name       VARBINARY(128) NOT NULL
        COMMENT 'user name as UTF-8 bytes; slot = CRC32(name) MOD 1024',
    user_id    BIGINT UNSIGNED NOT NULL
        COMMENT 'whose name it is',
    op         BINARY(16) NOT NULL
        COMMENT 'idempotency key of the registration',
    created_at BIGINT NOT NULL
        COMMENT 'ms since the Unix epoch',
    PRIMARY KEY (slot, name),
    KEY by_user (slot, user_id),
    CONSTRAINT account_is_shared CHECK (slot < 1024)
)
    ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
    COMMENT 'directory of names; stays in the slot of the name when its user is promoted';

CREATE TABLE IF NOT EXISTS owner_home (
    slot      INT UNSIGNED NOT NULL
        COMMENT 'placement; 0..1023 shared, 1024 and up one owner each',
    owner_id  BIGINT UNSIGNED NOT NULL
        COMMENT 'user or video that left this slot; its id still names it',
    own_slot  INT UNSIGNED NOT NULL
        COMMENT 'where its rows are',
    author_id BIGINT UNSIGNED NULL
        COMMENT 'author of a video; NULL for a user',
    op        BINARY(16) NULL
        COMMENT 'idempotency key of the video; NULL for a user',
    PRIMARY KEY (slot, owner_id),
    UNIQUE KEY op (slot, author_id, op),
    CONSTRAINT owner_home_is_shared CHECK (slot < 1024)
)
    ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
    COMMENT 'forwarding entries of promoted owners; slot_fence.has_home says that a slot has some';

CREATE TABLE IF NOT EXISTS user (
    slot                INT UNSIGNED NOT NULL
        COMMENT 'placement; 0..1023 shared, 1024 and up one owner each',
    user_id             BIGINT UNSIGNED NOT NULL
        COMMENT 'minted from slot_seq',
    name                VARCHAR(32) NOT NULL
        COMMENT 'user name, unique by account',
    password_hash       VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
        COMMENT 'self-describing, with parameters and salt',
    password_changed_at BIGINT NOT NULL DEFAULT 0
        COMMENT 'ms since the Unix epoch; 0: still the first one',
    avatar              VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT ''
        COMMENT 'base name of the picture; empty: the default one',
    background_image    VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT ''
        COMMENT 'base name of the picture; empty: the default one',
    signature           VARCHAR(128) NOT NULL DEFAULT ''
        COMMENT 'a line about the user',
    state               ENUM ('live', 'erased', 'banned') NOT NULL DEFAULT 'live'
        COMMENT 'erased users are found by nobody; banned: see user_ban',
    follow_count        BIGINT NOT NULL DEFAULT 0
        COMMENT 'rows of follow with state 1',
    work_count          BIGINT NOT NULL DEFAULT 0
        COMMENT 'live videos',
    favorite_count      BIGINT NOT NULL DEFAULT 0
        COMMENT 'rows of favorite with state 1',
    ver                 BIGINT UNSIGNED NOT NULL DEFAULT 0
        COMMENT 'version of what a card shows of this row, and of the list of videos',
    edge_ver            BIGINT UNSIGNED NOT NULL DEFAULT 0
        COMMENT 'version of the lists follow and favorite: the last one given to an edge',
    mail_ver            BIGINT UNSIGNED NOT NULL DEFAULT 0
        COMMENT 'version of the mailbox, as far as its owner changes it',
    message_last        BIGINT NOT NULL DEFAULT 0
        COMMENT 'number of the newest message id, as in slot_seq',
    created_at          BIGINT NOT NULL
        COMMENT 'ms since the Unix epoch',
    op                  BINARY(16) NOT NULL
        COMMENT 'idempotency key of the registration',
    PRIMARY KEY (slot, user_id)
)
    ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
    COMMENT 'profiles, secrets and what their owners change'
PARTITION BY LIST (slot DIV 1024 * slot) (PARTITION shared VALUES IN (0));

-- A row of its own, so that likes, follows and messages that somebody receives do not wait
-- for his own writes, nor they for those: a popular user is written to all the time.
CREATE TABLE IF NOT EXISTS inbound (
    slot            INT UNSIGNED NOT NULL
        COMMENT 'placement; 0..1023 shared, 1024 and up one owner each',
    user_id         BIGINT UNSIGNED NOT NULL
        COMMENT 'the same as in user, like slot',
    state           ENUM ('live', 'erased', 'banned') NOT NULL DEFAULT 'live'
        COMMENT 'the same as in user; changed together',
    follower_count  BIGINT NOT NULL DEFAULT 0
        COMMENT 'rows of follower with state 1',
    total_favorited BIGINT NOT NULL DEFAULT 0
        COMMENT 'likes received: sum of favorite_count of the live videos',
    ver             BIGINT UNSIGNED NOT NULL DEFAULT 0
        COMMENT 'version of what a card shows of this row',
    follower_ver    BIGINT UNSIGNED NOT NULL DEFAULT 0
        COMMENT 'version of the list of followers: the last place given in it',
    mail_ver        BIGINT UNSIGNED NOT NULL DEFAULT 0
        COMMENT 'version of the mailbox, as far as others change it',
    PRIMARY KEY (slot, user_id)
)
    ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
    COMMENT 'the part of a user that others change'
PARTITION BY LIST (slot DIV 1024 * slot) (PARTITION shared VALUES IN (0));

CREATE TABLE IF NOT EXISTS session (
    slot       INT UNSIGNED NOT NULL
        COMMENT 'placement; 0..1023 shared, 1024 and up one owner each',
    user_id    BIGINT UNSIGNED NOT NULL
        COMMENT 'owner',
    session    BINARY(16) NOT NULL
        COMMENT 'random id inside the token',
    created_at BIGINT NOT NULL
        COMMENT 'ms since the Unix epoch',
    seen_at    BIGINT NOT NULL
        COMMENT 'ms since the Unix epoch; written at most once an hour',
    expires_at BIGINT NOT NULL
        COMMENT 'ms since the Unix epoch; absolute end',
    PRIMARY KEY (slot, user_id, session)
)
    ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
    COMMENT 'live logins; inserted and counted under the lock of the user row'
PARTITION BY LIST (slot DIV 1024 * slot) (PARTITION shared VALUES IN (0));

CREATE TABLE IF NOT EXISTS video (
    slot           INT UNSIGNED NOT NULL
        COMMENT 'placement; 0..1023 shared, 1024 and up one owner each',
    video_id       BIGINT UNSIGNED NOT NULL
        COMMENT 'minted from slot_seq, a fresh millisecond each',
    author_id      BIGINT UNSIGNED NOT NULL
        COMMENT 'user in the same slot',
    title          VARCHAR(128) NOT NULL
        COMMENT '1 to 128 code points',
    media          VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
        COMMENT 'base name of the files, without extension',
    sha256         BINARY(32) NOT NULL
        COMMENT 'of the uploaded file',
    size_bytes     BIGINT NOT NULL
        COMMENT 'of the uploaded file',
    duration_ms    INT UNSIGNED NOT NULL
        COMMENT 'as probed',
    width          INT UNSIGNED NOT NULL
        COMMENT 'pixels',
    height         INT UNSIGNED NOT NULL
        COMMENT 'pixels',
    state          ENUM ('live', 'deleted') NOT NULL DEFAULT 'live'
        COMMENT 'deleted videos are found by nobody',
    published_at   BIGINT NOT NULL
        COMMENT 'ms since the Unix epoch = time of the id; unique in its slot',
    favorite_count BIGINT NOT NULL DEFAULT 0
        COMMENT 'rows of liker with state 1',
    comment_count  BIGINT NOT NULL DEFAULT 0
        COMMENT 'rows of comment with state live',
    ver            BIGINT UNSIGNED NOT NULL DEFAULT 0
        COMMENT 'version of what a card shows',
    comment_ver    BIGINT UNSIGNED NOT NULL DEFAULT 0
        COMMENT 'version of the list of comments',
    comment_last   BIGINT NOT NULL DEFAULT 0
        COMMENT 'number of the newest comment id, as in slot_seq',
    op             BINARY(16) NOT NULL
        COMMENT 'idempotency key of the upload',
    deleted_at     BIGINT NULL
        COMMENT 'ms since the Unix epoch',
    PRIMARY KEY (slot, video_id),
    UNIQUE KEY op (slot, author_id, op),
    KEY author (slot, author_id, state, video_id),
    KEY feed (state, published_at, video_id),
    KEY media (slot, author_id, media, state)
)
    ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
    COMMENT 'videos, in the slot of their author'
PARTITION BY LIST (slot DIV 1024 * slot) (PARTITION shared VALUES IN (0));

CREATE TABLE IF NOT EXISTS job (
    slot          INT UNSIGNED NOT NULL
        COMMENT 'placement; 0..1023 shared, 1024 and up one owner each',
    owner_id      BIGINT UNSIGNED NOT NULL
        COMMENT 'user whose work it is',
    kind          VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
        COMMENT 'what is to be done: media_delete, user_erase, chat_repair',
    target_id     BIGINT UNSIGNED NOT NULL
        COMMENT 'what it is done to; media_delete: the video; chat_repair: the peer',
    payload       VARCHAR(255) NOT NULL
        COMMENT 'argument; media_delete: base name of the files',
    due_at        BIGINT NOT NULL
        COMMENT 'ms since the Unix epoch; not before',
    attempts      INT UNSIGNED NOT NULL DEFAULT 0
        COMMENT 'claims so far',
    claim         BINARY(16) NULL
        COMMENT 'who works on it; NULL: nobody',
    claimed_until BIGINT NOT NULL DEFAULT 0
        COMMENT 'ms since the Unix epoch; then anybody may take it over',
    last_error    VARCHAR(200) NOT NULL DEFAULT ''
        COMMENT 'why the last attempt failed',
    parked        TINYINT UNSIGNED NOT NULL DEFAULT 0
        COMMENT '1: failed 20 times, waits for an operator',
    PRIMARY KEY (slot, owner_id, kind, target_id),
    KEY due (parked, due_at)
)
    ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
    COMMENT 'durable background work'
PARTITION BY LIST (slot DIV 1024 * slot) (PARTITION shared VALUES IN (0));

CREATE TABLE IF NOT EXISTS follow (
    slot        INT UNSIGNED NOT NULL
        COMMENT 'placement; 0..1023 shared, 1024 and up one owner each',
    user_id     BIGINT UNSIGNED NOT NULL
        COMMENT 'owner: who follows',
    followed_id BIGINT UNSIGNED NOT NULL
        COMMENT 'who is followed',
    state       TINYINT UNSIGNED NOT NULL
        COMMENT '1: follows; 0: tombstone',
    ver         BIGINT UNSIGNED NOT NULL
        COMMENT 'edge_ver of the actor when it was written; only a newer one replaces it',
    at          BIGINT NOT NULL
        COMMENT 'ms since the Unix epoch of the last change',
    PRIMARY KEY (slot, user_id, followed_id),
    KEY newest (slot, user_id, state, ver)
)
    ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
    COMMENT 'forward edge; counted in user.follow_count'
PARTITION BY LIST (slot DIV 1024 * slot) (PARTITION shared VALUES IN (0));

CREATE TABLE IF NOT EXISTS follower (
    slot        INT UNSIGNED NOT NULL
        COMMENT 'placement; 0..1023 shared, 1024 and up one owner each',
    user_id     BIGINT UNSIGNED NOT NULL
        COMMENT 'owner: who is followed',
    follower_id BIGINT UNSIGNED NOT NULL
        COMMENT 'who follows',
    state       TINYINT UNSIGNED NOT NULL
        COMMENT '1: is followed; 0: tombstone',
    ver         BIGINT UNSIGNED NOT NULL
        COMMENT 'edge_ver of the actor when it was written; only a newer one replaces it',
    at          BIGINT NOT NULL
        COMMENT 'ms since the Unix epoch of the last change',
    pos         BIGINT UNSIGNED NOT NULL
        COMMENT 'follower_ver of the owner when applied: order of the list, unique per owner',
    PRIMARY KEY (slot, user_id, follower_id),
    KEY newest (slot, user_id, state, pos)
)
    ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
    COMMENT 'backward edge; counted in inbound.follower_count'
PARTITION BY LIST (slot DIV 1024 * slot) (PARTITION shared VALUES IN (0));

CREATE TABLE IF NOT EXISTS favorite (
    slot     INT UNSIGNED NOT NULL
        COMMENT 'placement; 0..1023 shared, 1024 and up one owner each',
    user_id  BIGINT UNSIGNED NOT NULL
        COMMENT 'owner: who likes',
    video_id BIGINT UNSIGNED NOT NULL
        COMMENT 'what is liked',
    state    TINYINT UNSIGNED NOT NULL
        COMMENT '1: likes; 0: tombstone',
    ver      BIGINT UNSIGNED NOT NULL
        COMMENT 'edge_ver of the actor when it was written; only a newer one replaces it',
    at       BIGINT NOT NULL
        COMMENT 'ms since the Unix epoch of the last change',
    PRIMARY KEY (slot, user_id, video_id),
    KEY newest (slot, user_id, state, ver)
)
    ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
    COMMENT 'forward edge; counted in user.favorite_count'
PARTITION BY LIST (slot DIV 1024 * slot) (PARTITION shared VALUES IN (0));

CREATE TABLE IF NOT EXISTS liker (
    slot     INT UNSIGNED NOT NULL
        COMMENT 'placement; 0..1023 shared, 1024 and up one owner each',
    video_id BIGINT UNSIGNED NOT NULL
        COMMENT 'owner: what is liked',
    user_id  BIGINT UNSIGNED NOT NULL
        COMMENT 'who likes',
    state    TINYINT UNSIGNED NOT NULL
        COMMENT '1: is liked; 0: tombstone',
    ver      BIGINT UNSIGNED NOT NULL
        COMMENT 'edge_ver of the actor when it was written; only a newer one replaces it',
    at       BIGINT NOT NULL
        COMMENT 'ms since the Unix epoch of the last change',
    PRIMARY KEY (slot, video_id, user_id)
)
    ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
    COMMENT 'backward edge; counted in video.favorite_count'
PARTITION BY LIST (slot DIV 1024 * slot) (PARTITION shared VALUES IN (0));

CREATE TABLE IF NOT EXISTS comment (
    slot       INT UNSIGNED NOT NULL
        COMMENT 'placement; 0..1023 shared, 1024 and up one owner each',
    video_id   BIGINT UNSIGNED NOT NULL
        COMMENT 'owner',
    comment_id BIGINT UNSIGNED NOT NULL
        COMMENT 'minted from video.comment_last; unique per video',
    author_id  BIGINT UNSIGNED NOT NULL
        COMMENT 'who wrote it',
    text       VARCHAR(1000) NOT NULL
        COMMENT 'as written',
    state      ENUM ('live', 'deleted') NOT NULL DEFAULT 'live'
        COMMENT 'deleted comments are shown to nobody',
    ver        BIGINT UNSIGNED NOT NULL
        COMMENT '1: posted; 2: deleted; version of the second half',
    created_at BIGINT NOT NULL
        COMMENT 'ms since the Unix epoch',
    op         BINARY(16) NOT NULL
        COMMENT 'idempotency key',
    PRIMARY KEY (slot, video_id, comment_id),
    UNIQUE KEY op (slot, video_id, op),
    KEY newest (slot, video_id, state, comment_id)
)
    ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
    COMMENT 'comments, at the video; counted in video.comment_count'
PARTITION BY LIST (slot DIV 1024 * slot) (PARTITION shared VALUES IN (0));

CREATE TABLE IF NOT EXISTS commented (
    slot       INT UNSIGNED NOT NULL
        COMMENT 'placement; 0..1023 shared, 1024 and up one owner each',
    user_id    BIGINT UNSIGNED NOT NULL
        COMMENT 'owner: who wrote it',
    video_id   BIGINT UNSIGNED NOT NULL
        COMMENT 'under which video',
    comment_id BIGINT UNSIGNED NOT NULL
        COMMENT 'which comment',
    state      TINYINT UNSIGNED NOT NULL
        COMMENT '1: live; 0: tombstone',
    ver        BIGINT UNSIGNED NOT NULL
        COMMENT 'of the comment; only a newer one replaces it',
    at         BIGINT NOT NULL
        COMMENT 'ms since the Unix epoch of the last change',
    PRIMARY KEY (slot, user_id, video_id, comment_id)
)
    ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
    COMMENT 'comments of a user, for export and erasure'
PARTITION BY LIST (slot DIV 1024 * slot) (PARTITION shared VALUES IN (0));

CREATE TABLE IF NOT EXISTS chat (
    slot      INT UNSIGNED NOT NULL
        COMMENT 'placement; 0..1023 shared, 1024 and up one owner each',
    user_id   BIGINT UNSIGNED NOT NULL
        COMMENT 'owner of the mailbox',
    peer_id   BIGINT UNSIGNED NOT NULL
        COMMENT 'the other party',
    sent_seq  BIGINT UNSIGNED NOT NULL DEFAULT 0
        COMMENT 'number of the last message sent',
    recv_seq  BIGINT UNSIGNED NOT NULL DEFAULT 0
        COMMENT 'number of the last message received',
    last_at   BIGINT NOT NULL DEFAULT 0
        COMMENT 'at of the newest message, undone ones included; never goes back',
    last_text VARCHAR(1000) NOT NULL DEFAULT ''
        COMMENT 'text of the newest live message; empty: there is none',
    last_sent TINYINT UNSIGNED NOT NULL DEFAULT 0
        COMMENT '1: the owner sent it; 0: received it',
    PRIMARY KEY (slot, user_id, peer_id)
)
    ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
    COMMENT 'one conversation as its owner sees it'
PARTITION BY LIST (slot DIV 1024 * slot) (PARTITION shared VALUES IN (0));

CREATE TABLE IF NOT EXISTS message (
    slot       INT UNSIGNED NOT NULL
        COMMENT 'placement; 0..1023 shared, 1024 and up one owner each',
    user_id    BIGINT UNSIGNED NOT NULL
        COMMENT 'owner of the mailbox',
    peer_id    BIGINT UNSIGNED NOT NULL
        COMMENT 'the other party',
    at         BIGINT NOT NULL
        COMMENT 'create_time: ms since the Unix epoch, increasing in the chat',
    message_id BIGINT UNSIGNED NOT NULL
        COMMENT 'minted at the sender; unique per sender',
    sent       TINYINT UNSIGNED NOT NULL
        COMMENT '1: the owner sent it; 0: received it',
    seq        BIGINT UNSIGNED NOT NULL
        COMMENT 'number in its direction',
    text       VARCHAR(1000) NOT NULL
        COMMENT 'as written',
    state      TINYINT UNSIGNED NOT NULL DEFAULT 1
        COMMENT '1: live; 0: undone, the peer does not exist; shown to nobody',
    op         BINARY(16) NOT NULL
        COMMENT 'idempotency key',
    PRIMARY KEY (slot, user_id, peer_id, at),
    UNIQUE KEY op (slot, user_id, op),
    UNIQUE KEY seq (slot, user_id, peer_id, sent, seq),
    KEY received (slot, user_id, peer_id, sent, state, at)
)
    ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
    COMMENT 'messages, one copy in the mailbox of each party'
PARTITION BY LIST (slot DIV 1024 * slot) (PARTITION shared VALUES IN (0));

CREATE TABLE IF NOT EXISTS outbox (
    slot        INT UNSIGNED NOT NULL
        COMMENT 'placement; 0..1023 shared, 1024 and up one owner each',
    actor_id    BIGINT UNSIGNED NOT NULL
        COMMENT 'owner: whose write has a second half; comment: the video',
    kind        VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
        COMMENT 'follow, favorite, comment, message',
    target_id   BIGINT UNSIGNED NOT NULL
        COMMENT 'owner of the second half; comment: its author',
    seq         BIGINT UNSIGNED NOT NULL DEFAULT 0
        COMMENT 'number of the message; id of the comment; 0 for edges',
    ver         BIGINT UNSIGNED NOT NULL
        COMMENT 'version to deliver; removed only while it is still this one',
    at          BIGINT NOT NULL
        COMMENT 'ms since the Unix epoch; when this version was written',
    due_at      BIGINT NOT NULL
        COMMENT 'ms since the Unix epoch; not before; at first the same as at',
    attempts    INT UNSIGNED NOT NULL DEFAULT 0
        COMMENT 'failed deliveries of this version',
    parked      TINYINT UNSIGNED NOT NULL DEFAULT 0
        COMMENT '1: failed 20 times, waits for an operator',
    head        TINYINT UNSIGNED NOT NULL DEFAULT 1
        COMMENT '0: the message before it (seq - 1) waits, too, and hands this on',
    target_slot SMALLINT UNSIGNED
        GENERATED ALWAYS AS (target_id DIV 8 MOD 1024) STORED
        COMMENT 'slot that the id of the target names: which shard is to be asked',
    PRIMARY KEY (slot, actor_id, kind, target_id, seq),
    KEY due (parked, head, target_slot, due_at)
)
    ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
    COMMENT 'second halves still to be delivered'
PARTITION BY LIST (slot DIV 1024 * slot) (PARTITION shared VALUES IN (0));

CREATE TABLE IF NOT EXISTS idem (
    slot       INT UNSIGNED NOT NULL
        COMMENT 'placement; CRC32(op) MOD 1024',
    op         BINARY(16) NOT NULL
        COMMENT 'idempotency key',
    body       BINARY(32) NOT NULL
        COMMENT 'SHA-256 of the request that used it first',
    created_at BIGINT NOT NULL
        COMMENT 'ms since the Unix epoch; kept for a day',
    uses       INT UNSIGNED NOT NULL
        COMMENT 'requests with this key so far',
    PRIMARY KEY (slot, op),
    CONSTRAINT idem_is_shared CHECK (slot < 1024)
)
    ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
    COMMENT 'keys that clients gave to requests, and what they asked for';

CREATE TABLE IF NOT EXISTS relay_lease (
    name     VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
        COMMENT 'what is leased: relay, media',
    holder   VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
        COMMENT 'process that has it',
    until_at BIGINT NOT NULL
        COMMENT 'ms since the Unix epoch; then anybody may take it',
    PRIMARY KEY (name)
)
    ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
    COMMENT 'who does the work that one process does at a time';

CREATE TABLE IF NOT EXISTS purge_pass (
    kind          VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
        COMMENT 'table that is purged',
    older_ms      BIGINT NOT NULL
        COMMENT 'rows that have been of no use for so long are removed',
    every_ms      BIGINT NOT NULL
        COMMENT 'pause between two passes',
    due_at        BIGINT NOT NULL DEFAULT 0
        COMMENT 'ms since the Unix epoch; the next step, not before',
    slot          INT UNSIGNED NOT NULL DEFAULT 0
        COMMENT 'the pass has come to the row with this key: slot,',
    k1            BIGINT UNSIGNED NOT NULL DEFAULT 0
        COMMENT 'its numeric key columns after slot, 0 for those it does not have',
    k2            BIGINT UNSIGNED NOT NULL DEFAULT 0
        COMMENT 'second',
    k3            BIGINT UNSIGNED NOT NULL DEFAULT 0
        COMMENT 'third',
    ks            VARBINARY(16) NOT NULL DEFAULT ''
        COMMENT 'key column that is no number; empty for those without',
    running       TINYINT UNSIGNED NOT NULL DEFAULT 0
        COMMENT '1: a pass is under way',
    looked        BIGINT NOT NULL DEFAULT 0
        COMMENT 'rows that this or the last pass has looked at',
    removed       BIGINT NOT NULL DEFAULT 0
        COMMENT 'rows that this or the last pass has removed',
    removed_total BIGINT NOT NULL DEFAULT 0
        COMMENT 'rows removed by all passes',
    started_at    BIGINT NOT NULL DEFAULT 0
        COMMENT 'ms since the Unix epoch; begin of this or the last pass; 0: none yet',
    finished_at   BIGINT NOT NULL DEFAULT 0
        COMMENT 'ms since the Unix epoch; end of the last whole pass; 0: none yet',
    PRIMARY KEY (kind),
    KEY due (due_at),
    CONSTRAINT purge_pass_keeps CHECK (
        older_ms >= IF(kind IN ('session', 'idem'), 86400000, 2592000000)
    )
)
    ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
    COMMENT 'what is purged on this shard, how far that is, and when it goes on';

-- Tombstones for 30 days, sessions and keys for a day after their end.
INSERT INTO purge_pass (kind, older_ms, every_ms)
SELECT d.kind,
       d.older_ms,
       d.every_ms
  FROM (SELECT 'session' AS kind, 86400000 AS older_ms, 86400000 AS every_ms
         UNION ALL SELECT 'idem', 86400000, 21600000
         UNION ALL SELECT 'follow', 2592000000, 86400000
         UNION ALL SELECT 'follower', 2592000000, 86400000
         UNION ALL SELECT 'favorite', 2592000000, 86400000
         UNION ALL SELECT 'liker', 2592000000, 86400000
         UNION ALL SELECT 'commented', 2592000000, 86400000) AS d
 WHERE NOT EXISTS (SELECT 1
                     FROM purge_pass AS p
                    WHERE p.kind = d.kind);

INSERT INTO schema_version (version, slug, serves, applied_at, applied_by, checksum)
SELECT 1,
       'tables',
       1,
       TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(3)) DIV 1000,
       CURRENT_USER(),
       COALESCE(@schema_checksum, '')
  FROM (SELECT 1 AS one) AS d
 WHERE NOT EXISTS (SELECT 1
                     FROM schema_version AS sv
                    WHERE sv.version = 1);
