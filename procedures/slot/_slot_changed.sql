-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _slot_changed: give the fences of this shard a new generation, since one of them changes.
--
-- Every routine that writes slot_fence calls this in the same transaction, after the fences: a
-- reader of the fences of one generation knows them wherever that generation is named. It is
-- random, so that a shard restored from a backup never repeats one for other fences.
--
-- Touches : INSERT, UPDATE slot_gen (its row)
-- Errors  : none
-- Replays : another generation

DROP PROCEDURE IF EXISTS _slot_changed;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _slot_changed ()
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: a new generation of the fences'
BEGIN
    INSERT INTO slot_gen (one, gen)
    VALUES (1, CAST(CONV(HEX(RANDOM_BYTES(8)), 16, 10) AS UNSIGNED) | 1)
        ON DUPLICATE KEY UPDATE
           gen = VALUES(gen);
END$$

DELIMITER ;
