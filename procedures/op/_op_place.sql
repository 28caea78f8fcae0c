-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _op_place: number the operations of each owner of a batch: 1, 2, .. in op.place.
--
-- Whoever gives numbers to operations (versions, ids) adds the place to the last number given.
--
-- Touches : DELETE, INSERT op_place (the session's own); UPDATE op
-- Errors  : none
-- Replays : nothing stays

DROP PROCEDURE IF EXISTS _op_place;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _op_place ()
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: number the operations of each owner'
BEGIN
    DELETE FROM op_place;

    INSERT INTO op_place (n, place)
    SELECT o.n,
           ROW_NUMBER() OVER (PARTITION BY o.slot, o.owner ORDER BY o.n)
      FROM op AS o;

    UPDATE op AS o
     STRAIGHT_JOIN op_place AS p
        ON p.n = o.n
       SET o.place = p.place;
END$$

DELIMITER ;
