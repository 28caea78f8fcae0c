-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _op_size: is the argument of a batch routine an array of an allowed size?
--
-- in_ops  array of 1 to 256 objects, at most 262144 bytes
--
-- Touches : nothing
-- Errors  : 45400 no such array
-- Replays : reads only

DROP PROCEDURE IF EXISTS _op_size;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _op_size (
    IN in_ops JSON
)
    SQL SECURITY DEFINER
    NO SQL
    COMMENT 'v1: check the size of a batch'
BEGIN
    IF NOT COALESCE(LENGTH(in_ops) <= 262144
                    AND JSON_TYPE(in_ops) = 'ARRAY'
                    AND JSON_LENGTH(in_ops) BETWEEN 1 AND 256, FALSE) THEN
        SIGNAL SQLSTATE '45400'
           SET MESSAGE_TEXT = 'in_ops needs 1 to 256 operations, at most 262144 bytes';
    END IF;
END$$

DELIMITER ;
