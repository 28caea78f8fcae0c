-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _op_refuse: refuse a whole CALL because one of its operations breaks the contract.
--
-- in_n     number of the first bad operation; NULL: none is bad, nothing happens
-- in_text  what each operation must be, at most 100 characters
--
-- Touches : nothing
-- Errors  : 45400 an operation is malformed
-- Replays : reads only

DROP PROCEDURE IF EXISTS _op_refuse;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _op_refuse (
    IN in_n    INT,
    IN in_text VARCHAR(100)
)
    SQL SECURITY DEFINER
    NO SQL
    COMMENT 'v1: refuse a call that has a malformed operation'
BEGIN
    DECLARE v_text VARCHAR(128);

    IF in_n IS NOT NULL THEN
        SET v_text = CONCAT('operation ', in_n, ' needs ', in_text);
        SIGNAL SQLSTATE '45400' SET MESSAGE_TEXT = v_text;
    END IF;
END$$

DELIMITER ;
