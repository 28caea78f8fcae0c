-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _op_begin: begin a batch of writes: check its size and empty the session's table op.
--
-- in_ops  array of 1 to 256 objects, at most 262144 bytes
--
-- The routine then reads the array, once, into op, leaves out malformed operations, and calls
-- _op_opened. Numbers are read twice, typed and as text, and compared: JSON_TABLE of MariaDB
-- silently makes 0 of a word, of -1 and the largest number of a too large one. An operation has the
-- unsigned integers slot, epoch (what the router believes) and owner, and they come in the order
-- (slot, owner), which is the order in which locks are taken.
--
-- Touches : DELETE op (the session's own)
-- Errors  : 45400 no such array
-- Replays : nothing stays

DROP PROCEDURE IF EXISTS _op_begin;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _op_begin (
    IN in_ops JSON
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: begin a batch'
BEGIN
    -- The first batch of this session.
    DECLARE e_no_such_table CONDITION FOR 1146;
    DECLARE CONTINUE HANDLER FOR e_no_such_table CALL _op_tables();

    CALL _op_size(in_ops);

    DELETE FROM op;
END$$

DELIMITER ;
