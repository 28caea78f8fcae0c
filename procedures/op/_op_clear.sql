-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _op_clear: begin a batch that is read with one pass: empty the session's table op.
--
-- in_bytes  length of the array; NULL: there is none
--
-- The routine then reads the array into op, numbers by their types, without checking the values
-- (JSON_TABLE of MariaDB silently makes 0 of a word, of -1 and the largest number of a too large
-- one), and writes it out again from there, in the order (slot, owner). If the text is the same, it
-- was understood, is in order and has nothing else in it: _op_known checks the rest. Any other
-- text, with other spaces or fields or mistakes, goes to _op_exact. This costs a third of also
-- reading all numbers as text.
--
-- Touches : DELETE op (the session's own)
-- Errors  : 45400 too many bytes, or none
-- Replays : nothing stays

DROP PROCEDURE IF EXISTS _op_clear;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _op_clear (
    IN in_bytes BIGINT
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: begin a batch that is read with one pass'
BEGIN
    -- The first batch of this session.
    DECLARE e_no_such_table CONDITION FOR 1146;
    DECLARE CONTINUE HANDLER FOR e_no_such_table CALL _op_tables();

    IF NOT COALESCE(in_bytes <= 262144, FALSE) THEN
        SIGNAL SQLSTATE '45400'
           SET MESSAGE_TEXT = 'in_ops needs 1 to 256 operations, at most 262144 bytes';
    END IF;

    DELETE FROM op;
END$$

DELIMITER ;
