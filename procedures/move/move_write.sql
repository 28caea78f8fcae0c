-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- move_write: rows of a slot become what they are at the giver.
--
-- in_slot        the slot
-- in_token       of the mover
-- in_batch       rows of in_tbl, as in _move_put; without a table: as in _move_apply
-- in_tbl         table that is being copied; empty: this is no step of the copy
-- in_after_key   last key that is copied now
-- in_row_count   rows of it in this batch
--
-- The copy remembers in the same transaction how far it is.
--
-- Answer  : slot
-- Touches : SELECT slot_fence (by slot, LOCK IN SHARE MODE); DELETE, REPLACE owner tables (by key);
--           UPDATE slot_import (by slot)
-- Errors  : 45409 another mover has taken over   45503 what was written reads otherwise
-- Replays : the same rows; a step of the copy is counted twice

DROP PROCEDURE IF EXISTS move_write;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE move_write (
    IN in_slot      INT UNSIGNED,
    IN in_token     VARCHAR(32),
    IN in_batch     LONGTEXT,
    IN in_tbl       VARCHAR(16),
    IN in_after_key VARCHAR(512),
    IN in_row_count INT
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: put rows of an arriving slot'
BEGIN
    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    CALL _move_check(in_slot, in_token, 'importing,moved');

    IF in_tbl = '' THEN
        CALL _move_apply(in_slot, in_batch);
    ELSE
        CALL _move_put(in_slot, in_tbl, in_batch);

        UPDATE slot_import AS i
           SET i.tbl       = in_tbl,
               i.after_key = in_after_key,
               i.row_count = i.row_count + in_row_count
         WHERE i.slot = in_slot;
    END IF;

    COMMIT;

    SELECT in_slot AS slot;
END$$

DELIMITER ;
