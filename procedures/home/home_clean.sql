-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- home_clean: remove the rows of a promoted user from the slot of his id.
--
-- in_user_id  the user
-- in_tbl      the table
-- in_limit    at most so many rows, 1 to 20000
--
-- For a shard with old data, which has rows from before the promotion, or part of a copy. The rows
-- of table video say whose videos they are, so they go last.
--
-- Answer  : row_count (removed; fewer than the limit: the table has no more)
-- Touches : SELECT slot_fence (by slot, LOCK IN SHARE MODE), owner_home (by slot and owner);
--           DELETE the table (by key); move_key
-- Errors  : 45400 an argument is NULL or out of range   45503 this shard does not know that he is
--           in an own slot, or the slot of his id takes part in a move
-- Replays : removes nothing more

DROP PROCEDURE IF EXISTS home_clean;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE home_clean (
    IN in_user_id BIGINT UNSIGNED,
    IN in_tbl     VARCHAR(16),
    IN in_limit   INT
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: remove rows that a promoted user left'
BEGIN
    DECLARE v_slot  INT UNSIGNED DEFAULT (in_user_id DIV 8) MOD 1024;
    DECLARE v_good  TINYINT;
    DECLARE v_busy  BIGINT UNSIGNED;
    DECLARE v_count INT;

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    IF NOT COALESCE(in_user_id BETWEEN 1 AND 9007199254740991
                    AND in_limit BETWEEN 1 AND 20000, FALSE) THEN
        SIGNAL SQLSTATE '45400' SET MESSAGE_TEXT = 'home_clean needs a user, limit 1 to 20000';
    END IF;

    CALL _move_tables();

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    SELECT MAX(f.state = 'owned' AND f.journal = 0 AND h.own_slot IS NOT NULL)
      INTO v_good
      FROM slot_fence AS f FORCE INDEX (PRIMARY)
      LEFT JOIN owner_home AS h FORCE INDEX (PRIMARY)
        ON h.slot = f.slot
       AND h.owner_id = in_user_id
     WHERE f.slot = v_slot
      LOCK IN SHARE MODE;

    SELECT _move_busy(v_slot)
      INTO v_busy;

    IF v_busy IS NOT NULL OR NOT COALESCE(v_good, 0) THEN
        SIGNAL SQLSTATE '45503' SET MESSAGE_TEXT = 'the user has not left, or his slot moves';
    END IF;

    DELETE FROM move_key;

    CALL _move_find(v_slot, in_tbl, in_user_id, NULL, NULL, in_limit);

    SELECT COUNT(*)
      INTO v_count
      FROM move_key AS k;

    CALL _move_drop(v_slot, in_tbl);

    COMMIT;

    SELECT v_count AS row_count;
END$$

DELIMITER ;
