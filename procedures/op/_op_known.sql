-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _op_known: check a batch whose text is known to equal the contents of op, in order.
--
-- in_place  1: the routine needs op.place
--
-- Touches : SELECT op; see _op_place
-- Errors  : 45400 too many operations, or two are about one edge or outbox row
-- Replays : nothing stays

DROP PROCEDURE IF EXISTS _op_known;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _op_known (
    IN in_place TINYINT
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: check a batch that was read as it came'
BEGIN
    DECLARE v_ops    INT;
    DECLARE v_owners INT;
    DECLARE v_things INT;

    SELECT COUNT(*),
           COUNT(DISTINCT o.slot, o.owner)
      INTO v_ops,
           v_owners
      FROM op AS o;

    IF v_ops > 256 THEN
        SIGNAL SQLSTATE '45400'
           SET MESSAGE_TEXT = 'in_ops needs 1 to 256 operations, at most 262144 bytes';
    END IF;

    IF v_owners < v_ops THEN
        SELECT COUNT(DISTINCT o.slot, o.owner, o.kind, o.target, o.seq)
          INTO v_things
          FROM op AS o;

        IF v_things < v_ops THEN
            SIGNAL SQLSTATE '45400'
               SET MESSAGE_TEXT = 'two operations on one edge or outbox row';
        END IF;

        IF in_place THEN
            CALL _op_place();
        END IF;
    END IF;
END$$

DELIMITER ;
