-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _op_tables: make the tables in which a session works on a batch.
--
-- They are empty, live as long as the session, and are seen by it alone. op has the operations;
-- the others hold copies of owners' rows, taken when those were locked and kept in step with
-- them, so that they can be answered after COMMIT. A change of columns needs a new name for the
-- table: pooled connections keep the tables they have. This runs only in a session that has none; a
-- table that is added later is made by the helper that fills it.
--
-- Touches : CREATE op, op_user, op_inbound, op_video, op_author, op_place, op_text, op_comment,
--           op_drift (the session's own, in memory)
-- Errors  : none
-- Replays : makes what is missing

DROP PROCEDURE IF EXISTS _op_tables;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _op_tables ()
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: make the tables of a batch'
BEGIN
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
            COMMENT 'of moved: who has the slot at that epoch',
        owner   BIGINT UNSIGNED NOT NULL
            COMMENT 'whom the operation is about; 0: a name',
        user_id BIGINT UNSIGNED NOT NULL
            COMMENT 'user whose slot the owner is in: himself, or the author of a video; 0: none',
        moving  TINYINT UNSIGNED NOT NULL DEFAULT 0
            COMMENT '1: changes are to be journaled',
        op      BINARY(16) NULL
            COMMENT 'idempotency key, where the operation has one',
        kind    VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT ''
            COMMENT 'kind of the outbox row',
        target  BIGINT UNSIGNED NOT NULL DEFAULT 0
            COMMENT 'the other end of an edge, a comment or a chat',
        seq     BIGINT UNSIGNED NOT NULL DEFAULT 0
            COMMENT 'number of a message, id of a comment; 0 for edges',
        state   TINYINT NOT NULL DEFAULT 0
            COMMENT 'what is to be: 1 there, 0 not there',
        was     TINYINT NOT NULL DEFAULT 0
            COMMENT 'what was, as read under the lock of the owner',
        ver     BIGINT UNSIGNED NOT NULL DEFAULT 0
            COMMENT 'version of the edge, comment or outbox row',
        place   SMALLINT UNSIGNED NOT NULL DEFAULT 1
            COMMENT 'number of the operation among those of its owner',
        id      BIGINT UNSIGNED NOT NULL DEFAULT 0
            COMMENT 'id that was minted or found; 0: none; of an edge: slot of the target',
        prev    BIGINT UNSIGNED NOT NULL DEFAULT 0
            COMMENT 'id of the message before it; 0: not known; of an edge: epoch of its target',
        at      BIGINT NOT NULL DEFAULT 0
            COMMENT 'time of what is made or was found, ms since the Unix epoch',
        pending TINYINT UNSIGNED NOT NULL DEFAULT 0
            COMMENT '1: the second half is still to be made',
        media   VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT ''
            COMMENT 'base name of files',
        PRIMARY KEY (n)
    )
        ENGINE = MEMORY;

    CREATE TEMPORARY TABLE IF NOT EXISTS op_user (
        slot             INT UNSIGNED NOT NULL,
        user_id          BIGINT UNSIGNED NOT NULL,
        state            VARCHAR(8) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
        name             VARCHAR(32) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
        avatar           VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
        background_image VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
        signature        VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
        follow_count     BIGINT NOT NULL,
        work_count       BIGINT NOT NULL,
        favorite_count   BIGINT NOT NULL,
        ver              BIGINT UNSIGNED NOT NULL,
        edge_ver         BIGINT UNSIGNED NOT NULL,
        mail_ver         BIGINT UNSIGNED NOT NULL,
        message_last     BIGINT NOT NULL,
        PRIMARY KEY (slot, user_id)
    )
        ENGINE = MEMORY
        COMMENT 'users that are locked, whatever their state';

    CREATE TEMPORARY TABLE IF NOT EXISTS op_inbound (
        slot            INT UNSIGNED NOT NULL,
        user_id         BIGINT UNSIGNED NOT NULL,
        state           VARCHAR(8) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
        follower_count  BIGINT NOT NULL,
        total_favorited BIGINT NOT NULL,
        ver             BIGINT UNSIGNED NOT NULL,
        follower_ver    BIGINT UNSIGNED NOT NULL,
        mail_ver        BIGINT UNSIGNED NOT NULL,
        PRIMARY KEY (slot, user_id)
    )
        ENGINE = MEMORY
        COMMENT 'the inbound parts of users that are locked, whatever their state';

    CREATE TEMPORARY TABLE IF NOT EXISTS op_video (
        slot           INT UNSIGNED NOT NULL,
        video_id       BIGINT UNSIGNED NOT NULL,
        author_id      BIGINT UNSIGNED NOT NULL,
        title          VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
        media          VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
        state          VARCHAR(8) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
        author_state   VARCHAR(8) CHARACTER SET ascii COLLATE ascii_bin NULL,
        favorite_count BIGINT NOT NULL,
        comment_count  BIGINT NOT NULL,
        published_at   BIGINT NOT NULL,
        ver            BIGINT UNSIGNED NOT NULL,
        comment_ver    BIGINT UNSIGNED NOT NULL,
        comment_last   BIGINT NOT NULL,
        PRIMARY KEY (slot, video_id)
    )
        ENGINE = MEMORY
        COMMENT 'videos that are locked, deleted ones too';

    CREATE TEMPORARY TABLE IF NOT EXISTS op_author (
        n         SMALLINT UNSIGNED NOT NULL,
        author_id BIGINT UNSIGNED NOT NULL,
        PRIMARY KEY (n)
    )
        ENGINE = MEMORY
        COMMENT 'authors of the videos of the operations';

    CREATE TEMPORARY TABLE IF NOT EXISTS op_place (
        n     SMALLINT UNSIGNED NOT NULL,
        place SMALLINT UNSIGNED NOT NULL,
        PRIMARY KEY (n)
    )
        ENGINE = MEMORY
        COMMENT 'places of the operations among those of their owners';

    CREATE TEMPORARY TABLE IF NOT EXISTS op_text (
        n    SMALLINT UNSIGNED NOT NULL,
        text VARCHAR(1000) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
        PRIMARY KEY (n)
    )
        ENGINE = MEMORY
        COMMENT 'texts of the operations: given, then those that are stored';

    CREATE TEMPORARY TABLE IF NOT EXISTS op_comment (
        video_id   BIGINT UNSIGNED NOT NULL,
        comment_id BIGINT UNSIGNED NOT NULL,
        PRIMARY KEY (video_id, comment_id)
    )
        ENGINE = MEMORY
        COMMENT 'comments of an erased user that are to be deleted';

    CREATE TEMPORARY TABLE IF NOT EXISTS op_drift (
        video_id BIGINT UNSIGNED NOT NULL,
        likes    BIGINT NOT NULL,
        comments BIGINT NOT NULL,
        last     BIGINT NOT NULL,
        PRIMARY KEY (video_id)
    )
        ENGINE = MEMORY
        COMMENT 'videos whose counters are off, by how much, and their newest comment';
END$$

DELIMITER ;
