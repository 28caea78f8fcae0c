-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- shard_resume: serve again after shard_pause.
--
-- Answer  : server, paused_ms (how long it was paused; 0: it was not)
-- Touches : SELECT, UPDATE shard_self; UPDATE slot_fence (all rows),
--           slot_gen
-- Errors  : 45503 the shard has no name yet, or it is refused (shard_refuse)
-- Replays : changes nothing

DROP PROCEDURE IF EXISTS shard_resume;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE shard_resume ()
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: serve again'
BEGIN
    DECLARE v_name      VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin;
    DECLARE v_paused_ms BIGINT;
    DECLARE v_refused   INT;

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    SELECT MAX(ss.name),
           COALESCE(GREATEST(_now_ms() - MAX(ss.paused_at), 0), 0),
           COUNT(ss.refused_at)
      INTO v_name,
           v_paused_ms,
           v_refused
      FROM shard_self AS ss
       FOR UPDATE;

    IF v_name IS NULL THEN
        SIGNAL SQLSTATE '45503' SET MESSAGE_TEXT = 'this shard has no name yet: shard_init first';
    END IF;

    IF v_refused = 1 THEN
        SIGNAL SQLSTATE '45503'
           SET MESSAGE_TEXT = 'this shard is refused: shardctl verify compares and admits it';
    END IF;

    UPDATE shard_self AS ss
       SET ss.paused_at  = NULL,
           ss.paused_by  = '',
           ss.paused_why = '';

    UPDATE slot_fence AS f
       SET f.paused = 0
     ORDER BY f.slot;

    CALL _slot_changed();

    COMMIT;

    SELECT v_name AS server,
           v_paused_ms AS paused_ms;
END$$

DELIMITER ;
