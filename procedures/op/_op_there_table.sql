-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _op_there_table: make the table of the second halves that are made with their first.
--
-- Like those of _op_tables, but added later, so _op_fences makes it where it is missing.
--
-- Touches : CREATE op_there (the session's own, in memory)
-- Errors  : none
-- Replays : makes what is missing

DROP PROCEDURE IF EXISTS _op_there_table;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _op_there_table ()
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: make the table of second halves'
BEGIN
    CREATE TEMPORARY TABLE IF NOT EXISTS op_there (
        n       SMALLINT UNSIGNED NOT NULL
            COMMENT 'number of the operation in op',
        code    VARCHAR(12) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
            COMMENT 'what the target says: ok, same (not newer), notfound (it refuses)',
        slot    INT UNSIGNED NOT NULL
            COMMENT 'slot of the target',
        epoch   BIGINT UNSIGNED NOT NULL
            COMMENT 'its epoch',
        owner   BIGINT UNSIGNED NOT NULL
            COMMENT 'the target',
        user_id BIGINT UNSIGNED NOT NULL
            COMMENT 'whose inbound part counts it: the target, or the author of the video',
        actor   BIGINT UNSIGNED NOT NULL
            COMMENT 'owner of the first half',
        state   TINYINT NOT NULL
            COMMENT 'what is to be: 1 there, 0 not there',
        was     TINYINT NOT NULL
            COMMENT 'what was, as read under the lock of the target',
        ver     BIGINT UNSIGNED NOT NULL
            COMMENT 'version of the edge',
        at      BIGINT NOT NULL
            COMMENT 'its time, ms since the Unix epoch',
        PRIMARY KEY (n)
    )
        ENGINE = MEMORY
        COMMENT 'second halves that are made in the transaction of the first';
END$$

DELIMITER ;
