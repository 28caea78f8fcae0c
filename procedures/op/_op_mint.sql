-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _op_mint: make a new id for one operation from the counter of its slot.
--
-- in_n      number of the operation; op.id and op.at get the id and its time
-- in_fresh  1: a millisecond in which this slot has no id yet, so that the time alone is
--           unique in the slot (videos); 0: the next number, up to 8 in one millisecond
--
-- The number is (ms since 2025-01-01 UTC) * 8 + low bits and never goes back, whatever the
-- clock does: a full millisecond borrows the next one, a clock that was set back goes on
-- where it was. id = ms (40 bits), slot (10 bits), low bits (3). Needs the lock of
-- _slot_seq_lock.
--
-- Touches : SELECT, UPDATE slot_seq (by slot); SELECT, UPDATE op
-- Errors  : 45503 the slot has no mint here (its row comes with the slot), or the clock is
--           beyond the 40 bits
-- Replays : a number that is not used is lost, nothing else

DROP PROCEDURE IF EXISTS _op_mint;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _op_mint (
    IN in_n     INT,
    IN in_fresh TINYINT
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: mint the id of one operation'
BEGIN
    DECLARE v_slot   INT UNSIGNED;
    DECLARE v_number BIGINT;

    SELECT MAX(s.slot),
           MAX(GREATEST((_now_ms() - 1735689600000) * 8,
                        IF(in_fresh, (s.last DIV 8 + 1) * 8, s.last + 1)))
      INTO v_slot,
           v_number
      FROM op AS o
     STRAIGHT_JOIN slot_seq AS s FORCE INDEX (PRIMARY)
        ON s.slot = o.slot
     WHERE o.n = in_n;

    IF v_number IS NULL THEN
        SIGNAL SQLSTATE '45503' SET MESSAGE_TEXT = 'this shard has no mint for the slot';
    END IF;
    IF v_number >= 8796093022208 THEN
        SIGNAL SQLSTATE '45503' SET MESSAGE_TEXT = 'no ids left: is the clock of this shard right?';
    END IF;

    UPDATE slot_seq AS s
       SET s.last = v_number
     WHERE s.slot = v_slot;

    UPDATE op AS o
       SET o.id = (v_number DIV 8) * 8192 + v_slot * 8 + v_number MOD 8,
           o.at = v_number DIV 8 + 1735689600000
     WHERE o.n = in_n;
END$$

DELIMITER ;
