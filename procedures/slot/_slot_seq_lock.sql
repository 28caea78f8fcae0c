-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _slot_seq_lock: lock the mints of a batch's slots, in order.
--
-- Between the fences and the user rows, in transactions that may mint. It also serialises all
-- registrations of a slot, so that nothing comes between looking up a name and taking it. op was
-- filled by one INSERT in the order of the array and drives the join.
--
-- Touches : SELECT slot_seq (by slot, FOR UPDATE); SELECT op
-- Errors  : none
-- Replays : nothing stays

DROP PROCEDURE IF EXISTS _slot_seq_lock;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _slot_seq_lock ()
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v1: lock the mints of a batch in order'
BEGIN
    DECLARE v_count INT;

    SELECT COUNT(*)
      INTO v_count
      FROM op AS o
     STRAIGHT_JOIN slot_seq AS s FORCE INDEX (PRIMARY)
        ON s.slot = o.slot
     WHERE o.code = 'ok'
       FOR UPDATE;
END$$

DELIMITER ;
