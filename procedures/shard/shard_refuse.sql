-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- shard_refuse: declare that this shard has old data, so that it serves nobody until shard_admit.
--
-- in_why  how that was found, 1 to 190 characters
--
-- For a restored data directory or backup, or a promoted replica: see scripts/restore-shard.sh,
-- which calls it. Servers notice by themselves, and refuse the shard (shard_learn), when its
-- counter is below what another shard remembers of it.
--
-- Refused is like paused (shard_pause), but shard_resume does not end it: shard_restored must raise
-- the epochs, then shardctl verify compares both halves of everything with the other shards, and
-- admits it. The operator's own calls are answered meanwhile.
--
-- Answer  : server, refused_at (ms since the Unix epoch), why
-- Touches : SELECT, UPDATE shard_self; UPDATE slot_fence (all rows),
--           slot_gen
-- Errors  : 45400 no reason   45503 the shard has no name yet
-- Replays : the first reason stays; the epochs are to be raised again

DROP PROCEDURE IF EXISTS shard_refuse;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE shard_refuse (
    IN in_why VARCHAR(200)
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: this shard has old data'
BEGIN
    DECLARE v_name       VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin;
    DECLARE v_refused_at BIGINT;
    DECLARE v_why        VARCHAR(200);

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    IF NOT COALESCE(CHAR_LENGTH(TRIM(in_why)) BETWEEN 1 AND 190, FALSE) THEN
        SIGNAL SQLSTATE '45400' SET MESSAGE_TEXT = 'shard_refuse needs a reason';
    END IF;

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    SELECT MAX(ss.name)
      INTO v_name
      FROM shard_self AS ss
       FOR UPDATE;

    IF v_name IS NULL THEN
        SIGNAL SQLSTATE '45503' SET MESSAGE_TEXT = 'this shard has no name yet: shard_init first';
    END IF;

    CALL _shard_refuse(in_why);

    SELECT MAX(ss.refused_at),
           MAX(ss.refused_why)
      INTO v_refused_at,
           v_why
      FROM shard_self AS ss;

    COMMIT;

    SELECT v_name AS server,
           v_refused_at AS refused_at,
           v_why AS why;
END$$

DELIMITER ;
