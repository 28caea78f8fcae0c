-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _slot_log_add: journal the key of a row that was written, while its slot is moving.
--
-- in_moving     op.moving; 0: nothing happens
-- in_slot       slot of the row
-- in_tbl        its table
-- in_owner      its owner: who would leave with it
-- in_k1..in_k4  numeric key columns after slot, in order; from the first NULL on: every
--               row below
-- in_ks         the key column that is no number (session, name, kind); NULL: every value
--
-- The mover reads the keys, copies the rows as they are then, and removes the entries by
-- id. Every write to a slotted table calls this, in the same transaction.
--
-- Touches : INSERT slot_log
-- Errors  : none
-- Replays : a key that is journaled twice is copied twice

DROP PROCEDURE IF EXISTS _slot_log_add;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _slot_log_add (
    IN in_moving TINYINT,
    IN in_slot   INT UNSIGNED,
    IN in_tbl    VARCHAR(16),
    IN in_owner  BIGINT UNSIGNED,
    IN in_k1     BIGINT UNSIGNED,
    IN in_k2     BIGINT UNSIGNED,
    IN in_k3     BIGINT UNSIGNED,
    IN in_k4     BIGINT UNSIGNED,
    IN in_ks     VARBINARY(128)
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: journal a changed row while its slot is moving'
BEGIN
    IF in_moving THEN
        INSERT INTO slot_log (slot, tbl, owner, k1, k2, k3, k4, ks)
        VALUES (in_slot, in_tbl, in_owner, in_k1, in_k2, in_k3, in_k4, in_ks);
    END IF;
END$$

DELIMITER ;
