-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- shard_init: give this shard its name, once.
--
-- in_name  1 to 32 of A-Z a-z 0-9 _ . -, beginning with a letter or digit; the name in
--          every topology
--
-- Answer  : server
-- Touches : SELECT, INSERT shard_self
-- Errors  : 45400 no such name   45503 the shard has another name
-- Replays : changes nothing

DROP PROCEDURE IF EXISTS shard_init;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE shard_init (
    IN in_name VARCHAR(64)
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: name this shard'
BEGIN
    DECLARE v_name VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin;
    DECLARE v_text VARCHAR(128);

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    IF NOT COALESCE(in_name REGEXP '^[A-Za-z0-9][A-Za-z0-9_.-]{0,31}$', FALSE) THEN
        SIGNAL SQLSTATE '45400'
           SET MESSAGE_TEXT = 'shard_init needs a name of 1 to 32 A-Za-z0-9_.-';
    END IF;

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    INSERT INTO shard_self (one, name, installed_at)
    VALUES (1, in_name, _now_ms())
        ON DUPLICATE KEY UPDATE
           one = shard_self.one;

    SELECT ss.name
      INTO v_name
      FROM shard_self AS ss
       FOR UPDATE;

    IF v_name <> in_name THEN
        SET v_text = CONCAT('this shard is named ', v_name);
        SIGNAL SQLSTATE '45503' SET MESSAGE_TEXT = v_text;
    END IF;

    COMMIT;

    SELECT v_name AS server;
END$$

DELIMITER ;
