-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _op_distinct: refuse a batch that has two operations on one edge, comment or message.
--
-- What a set-based statement does with the second one would depend on the order in which
-- it finds them. After op.kind, op.target and op.seq are filled.
--
-- Touches : SELECT op
-- Errors  : 45400 there are two
-- Replays : reads only

DROP PROCEDURE IF EXISTS _op_distinct;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _op_distinct ()
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v1: refuse a batch with two operations on one thing'
BEGIN
    DECLARE v_twice INT;

    SELECT COUNT(*) - COUNT(DISTINCT o.slot, o.owner, o.kind, o.target, o.seq)
      INTO v_twice
      FROM op AS o;

    IF v_twice > 0 THEN
        SIGNAL SQLSTATE '45400'
           SET MESSAGE_TEXT = 'two operations on one edge, comment, message or chat';
    END IF;
END$$

DELIMITER ;
