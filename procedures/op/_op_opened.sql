-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _op_opened: check the batch that was read into op.
--
-- in_ops    the array
-- in_count  how many of its operations are in op: all that are well-formed
-- in_text   what each operation must be, at most 100 characters
--
-- Touches : SELECT op; see _op_place
-- Errors  : 45400 an operation is malformed or out of order, or two are about one edge, chat or
--           outbox row, or have one op
-- Replays : nothing stays

DROP PROCEDURE IF EXISTS _op_opened;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _op_opened (
    IN in_ops   JSON,
    IN in_count INT,
    IN in_text  VARCHAR(100)
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: check a batch that was read'
BEGIN
    DECLARE v_gap    INT;
    DECLARE v_behind INT;
    DECLARE v_owners INT;
    DECLARE v_things INT;
    DECLARE v_ops    INT;

    IF in_count <> 1 OR JSON_LENGTH(in_ops) <> 1 THEN
        SELECT MIN(IF(t.n > t.n_before + 1, t.n_before + 1, NULL)),
               MIN(IF(t.slot < t.slot_before
                      OR (t.slot = t.slot_before AND t.owner < t.owner_before), t.n, NULL)),
               COUNT(DISTINCT t.slot, t.owner),
               COUNT(DISTINCT t.slot, t.owner, t.kind, t.target, t.seq, t.key_of_one),
               COUNT(DISTINCT t.slot, t.owner, COALESCE(t.op, t.n))
          INTO v_gap,
               v_behind,
               v_owners,
               v_things,
               v_ops
          FROM (SELECT o.n,
                       o.slot,
                       o.owner,
                       o.kind,
                       o.target,
                       o.seq,
                       o.op,
                       CASE WHEN o.op IS NOT NULL AND o.kind <> 'message'
                            THEN o.op
                            WHEN o.op IS NULL AND o.kind = ''
                            THEN o.n
                            ELSE ''
                       END AS key_of_one,
                       COALESCE(LAG(o.n) OVER (ORDER BY o.n), 0) AS n_before,
                       LAG(o.slot) OVER (ORDER BY o.n) AS slot_before,
                       LAG(o.owner) OVER (ORDER BY o.n) AS owner_before
                  FROM op AS o) AS t;

        IF v_gap IS NULL AND in_count < JSON_LENGTH(in_ops) THEN
            SET v_gap = in_count + 1;
        END IF;

        CALL _op_refuse(v_gap, in_text);
        CALL _op_refuse(v_behind, 'a place after the one before it: order is (slot, owner)');

        IF v_things < in_count OR v_ops < in_count THEN
            SIGNAL SQLSTATE '45400'
               SET MESSAGE_TEXT = 'two operations on one edge, comment, message, chat or op';
        END IF;

        IF v_owners < in_count THEN
            CALL _op_place();
        END IF;
    END IF;
END$$

DELIMITER ;
