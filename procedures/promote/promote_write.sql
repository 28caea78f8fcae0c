-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- promote_write: bring rows of an owner in his new slot to the state that they have in the old one.
--
-- in_move_id    the promotion or demotion
-- in_token      of the mover
-- in_batch      rows of in_tbl, as in _move_put; without a table: as in _move_apply
-- in_tbl        table that is being copied; empty: this is no step of the copy
-- in_after_key  last key that is copied now
--
-- The progress of the copy is stored in the same transaction.
--
-- Answer  : slot
-- Touches : SELECT slot_fence (by slot, LOCK IN SHARE MODE), slot_move (by move_id, FOR UPDATE);
--           DELETE, REPLACE owner tables (by key); UPDATE slot_move (by move_id)
-- Errors  : 45409 another mover has taken over   45503 what was written reads otherwise
-- Replays : the same rows

DROP PROCEDURE IF EXISTS promote_write;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE promote_write (
    IN in_move_id   BIGINT UNSIGNED,
    IN in_token     VARCHAR(32),
    IN in_batch     LONGTEXT,
    IN in_tbl       VARCHAR(16),
    IN in_after_key VARCHAR(512)
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: put rows of an owner who changes his slot'
BEGIN
    DECLARE v_slot  INT UNSIGNED;
    DECLARE v_owner BIGINT UNSIGNED;

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    CALL _promote_check(in_move_id, in_token, 0, v_slot, v_owner);

    IF in_tbl = '' THEN
        CALL _move_apply(v_slot, in_batch);
    ELSE
        CALL _move_put(v_slot, in_tbl, in_batch);

        UPDATE slot_move AS m
           SET m.at_tbl = in_tbl,
               m.at_key = in_after_key
         WHERE m.move_id = in_move_id;
    END IF;

    COMMIT;

    SELECT v_slot AS slot;
END$$

DELIMITER ;
