-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- shard_drain: mark that slots should leave this shard and none may come, or remove the mark.
--
-- in_drain  1: from now on; 0: no longer
--
-- A mark for planning moves (shardctl plan, balance, drain, move): it moves nothing by itself, and
-- moves under way to this shard go on.
--
-- Answer  : server, draining_at (ms since the Unix epoch; 0: it is not)
-- Touches : SELECT, UPDATE shard_self
-- Errors  : 45400 neither 0 nor 1   45503 the shard has no name yet
-- Replays : keeps the first time

DROP PROCEDURE IF EXISTS shard_drain;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE shard_drain (
    IN in_drain TINYINT
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: slots are to leave, and none is to come'
BEGIN
    DECLARE v_name VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin;
    DECLARE v_at   BIGINT;

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    IF NOT COALESCE(in_drain IN (0, 1), FALSE) THEN
        SIGNAL SQLSTATE '45400' SET MESSAGE_TEXT = 'shard_drain needs 0 or 1';
    END IF;

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    SELECT MAX(ss.name),
           IF(in_drain = 1, COALESCE(MAX(ss.draining_at), _now_ms()), NULL)
      INTO v_name,
           v_at
      FROM shard_self AS ss
       FOR UPDATE;

    IF v_name IS NULL THEN
        SIGNAL SQLSTATE '45503' SET MESSAGE_TEXT = 'this shard has no name yet: shard_init first';
    END IF;

    UPDATE shard_self AS ss
       SET ss.draining_at = v_at;

    COMMIT;

    SELECT v_name AS server,
           COALESCE(v_at, 0) AS draining_at;
END$$

DELIMITER ;
