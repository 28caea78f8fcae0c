-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- promote_begin: the slot to which the rows of an owner go, and the progress of his copy.
--
-- in_move_id   the promotion or demotion
-- in_token     of the mover
-- in_own_slot  number for his own slot, where he has none yet (promote_number); else 0
--
-- Answer  : own_slot (0: there is none yet), at_tbl, at_key
-- Touches : SELECT, UPDATE slot_move (by move_id)
-- Errors  : 45409 another mover has taken over
-- Replays : the same

DROP PROCEDURE IF EXISTS promote_begin;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE promote_begin (
    IN in_move_id  BIGINT UNSIGNED,
    IN in_token    VARCHAR(32),
    IN in_own_slot INT UNSIGNED
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: where rows of an owner are to go'
BEGIN
    DECLARE v_own INT UNSIGNED;
    DECLARE v_tbl VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin;
    DECLARE v_key VARCHAR(512) CHARACTER SET ascii COLLATE ascii_bin;

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    SELECT MAX(IF(m.own_slot = 0, in_own_slot, m.own_slot)),
           MAX(m.at_tbl),
           MAX(m.at_key)
      INTO v_own,
           v_tbl,
           v_key
      FROM slot_move AS m
     WHERE m.move_id = in_move_id
       AND m.token = UNHEX(in_token)
       AND m.active IS NOT NULL
       FOR UPDATE;

    IF v_own IS NULL THEN
        SIGNAL SQLSTATE '45409' SET MESSAGE_TEXT = 'fenced out: another mover has taken the move';
    END IF;

    UPDATE slot_move AS m
       SET m.own_slot = v_own
     WHERE m.move_id = in_move_id;

    COMMIT;

    SELECT v_own AS own_slot,
           v_tbl AS at_tbl,
           v_key AS at_key;
END$$

DELIMITER ;
