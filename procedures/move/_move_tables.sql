-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _move_tables: the tables of a mover's session: keys of one table, entries of the journal that
-- were read, what was read of each table.
--
-- Touches : CREATE TEMPORARY TABLE move_key, move_prefix, move_entry, move_change
-- Errors  : none
-- Replays : makes what is not there

DROP PROCEDURE IF EXISTS _move_tables;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _move_tables ()
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: tables of the session of a mover'
BEGIN
    CREATE TEMPORARY TABLE IF NOT EXISTS move_key (
        n  INT UNSIGNED NOT NULL AUTO_INCREMENT
            COMMENT 'in the order of the key',
        k1 BIGINT UNSIGNED NULL
            COMMENT 'numeric columns of the key after slot, in order',
        k2 BIGINT UNSIGNED NULL,
        k3 BIGINT UNSIGNED NULL,
        ks VARBINARY(128) NULL
            COMMENT 'that which is no number',
        PRIMARY KEY (n)
    )
        ENGINE = MEMORY;

    CREATE TEMPORARY TABLE IF NOT EXISTS move_prefix (
        k1 BIGINT UNSIGNED NULL
            COMMENT 'begin of a key, as in slot_log',
        k2 BIGINT UNSIGNED NULL,
        ks VARBINARY(128) NULL
    )
        ENGINE = MEMORY;

    CREATE TEMPORARY TABLE IF NOT EXISTS move_entry (
        id  BIGINT UNSIGNED NOT NULL
            COMMENT 'entry of slot_log',
        tbl VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
            COMMENT 'as there; empty: it is of another owner',
        k1  BIGINT UNSIGNED NULL,
        k2  BIGINT UNSIGNED NULL,
        k3  BIGINT UNSIGNED NULL,
        ks  VARBINARY(128) NULL,
        PRIMARY KEY (id)
    )
        ENGINE = MEMORY;

    CREATE TEMPORARY TABLE IF NOT EXISTS move_change (
        n   INT UNSIGNED NOT NULL AUTO_INCREMENT
            COMMENT 'in the order in which keys and rows are answered',
        tbl VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
            COMMENT 'the table',
        k1  BIGINT UNSIGNED NULL
            COMMENT 'key as in move_key, or the begin of one',
        k2  BIGINT UNSIGNED NULL,
        k3  BIGINT UNSIGNED NULL,
        ks  VARBINARY(128) NULL,
        PRIMARY KEY (n)
    )
        ENGINE = MEMORY;
END$$

DELIMITER ;
