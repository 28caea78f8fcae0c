-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- promote_purge: remove rows of an owner from the slot of his id: he has left it, or is not back
-- yet.
--
-- in_move_id  the promotion or demotion
-- in_token    of the mover
-- in_is_over  1: the flip is done; 0: it is not
-- in_tbl      the table
-- in_limit    at most so many rows, 1 to 20000
--
-- The rows of table video say whose videos they are, so they go last.
--
-- Answer  : row_count (removed; fewer than the limit: the table has no more)
-- Touches : SELECT slot_fence (by slot, LOCK IN SHARE MODE), slot_move (by move_id, FOR UPDATE);
--           DELETE the table (by key)
-- Errors  : 45400 the limit is out of range   45409 another mover has taken over, or the rows are
--           served
-- Replays : removes nothing more

DROP PROCEDURE IF EXISTS promote_purge;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE promote_purge (
    IN in_move_id BIGINT UNSIGNED,
    IN in_token   VARCHAR(32),
    IN in_is_over TINYINT,
    IN in_tbl     VARCHAR(16),
    IN in_limit   INT
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: remove rows of an owner who left'
BEGIN
    DECLARE v_slot  INT UNSIGNED;
    DECLARE v_owner BIGINT UNSIGNED;
    DECLARE v_count INT;

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    IF NOT COALESCE(in_limit BETWEEN 1 AND 20000, FALSE) THEN
        SIGNAL SQLSTATE '45400' SET MESSAGE_TEXT = 'promote_purge needs a limit of 1 to 20000';
    END IF;

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    CALL _promote_check(in_move_id, in_token, in_is_over, v_slot, v_owner);

    CALL _move_tables();

    DELETE FROM move_key;

    IF v_slot < 1024 THEN
        CALL _move_find(v_slot, in_tbl, v_owner, NULL, NULL, in_limit);
    END IF;

    SELECT COUNT(*)
      INTO v_count
      FROM move_key AS k;

    CALL _move_drop(v_slot, in_tbl);

    COMMIT;

    SELECT v_count AS row_count;
END$$

DELIMITER ;
