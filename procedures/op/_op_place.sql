-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _op_place: number the operations of each owner in a batch, in op.place.
--
-- Most batches have one operation per owner: then all are 1, as they were made.
--
-- Touches : SELECT, UPDATE op; CREATE, DELETE, INSERT op_place (the session's own)
-- Errors  : none
-- Replays : nothing stays

DROP PROCEDURE IF EXISTS _op_place;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _op_place ()
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: number the operations of each owner'
BEGIN
    DECLARE v_more INT;

    SELECT COUNT(*) - COUNT(DISTINCT o.slot, o.owner)
      INTO v_more
      FROM op AS o;

    IF v_more > 0 THEN
        CREATE TEMPORARY TABLE IF NOT EXISTS op_place (
            n     SMALLINT UNSIGNED NOT NULL
                COMMENT 'number of the operation',
            place SMALLINT UNSIGNED NOT NULL
                COMMENT 'number of the operation among those of its owner',
            PRIMARY KEY (n)
        )
            ENGINE = MEMORY;

        DELETE FROM op_place;

        INSERT INTO op_place (n, place)
        SELECT o.n,
               ROW_NUMBER() OVER (PARTITION BY o.slot, o.owner ORDER BY o.n)
          FROM op AS o;

        UPDATE op AS o
         STRAIGHT_JOIN op_place AS p
            ON p.n = o.n
           SET o.place = p.place;
    END IF;
END$$

DELIMITER ;
