-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- shard_pause: let this shard serve nothing until shard_resume, without an error anywhere.
--
-- in_why  what for, 1 to 200 characters: operators read it on /readyz and in shard_status
--
-- Every fence is locked and marked, in the order in which writers lock them: this waits for writes
-- that have passed theirs, and later readers and writers are answered notready, as if all slots
-- were arriving. Routers wait for that (2 s) and then say busy, feeds leave the shard out and say
-- so, relays and jobs find nothing to do. Slots that are elsewhere are answered moved as usual. New
-- fences take the mark from shard_self. A shard that is refused (shard_refuse) stays paused after
-- shard_admit.
--
-- Answer  : server, paused_at (ms since the Unix epoch), why
-- Touches : SELECT, UPDATE shard_self; UPDATE slot_fence (all rows),
--           slot_gen
-- Errors  : 45400 no reason   45503 the shard has no name yet
-- Replays : another reason replaces the first

DROP PROCEDURE IF EXISTS shard_pause;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE shard_pause (
    IN in_why VARCHAR(200)
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: serve nothing for a while'
BEGIN
    DECLARE v_name      VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin;
    DECLARE v_paused_at BIGINT;

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    IF NOT COALESCE(CHAR_LENGTH(TRIM(in_why)) > 0, FALSE) THEN
        SIGNAL SQLSTATE '45400' SET MESSAGE_TEXT = 'shard_pause needs a reason';
    END IF;

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    SELECT MAX(ss.name),
           IF(MAX(ss.paused_at) > COALESCE(MAX(ss.refused_at), 0), MAX(ss.paused_at),
              GREATEST(_now_ms(), COALESCE(MAX(ss.refused_at), 0) + 1))
      INTO v_name,
           v_paused_at
      FROM shard_self AS ss
       FOR UPDATE;

    IF v_name IS NULL THEN
        SIGNAL SQLSTATE '45503' SET MESSAGE_TEXT = 'this shard has no name yet: shard_init first';
    END IF;

    UPDATE shard_self AS ss
       SET ss.paused_at  = v_paused_at,
           ss.paused_by  = USER(),
           ss.paused_why = in_why;

    UPDATE slot_fence AS f
       SET f.paused = 1
     ORDER BY f.slot;

    CALL _slot_changed();

    COMMIT;

    SELECT v_name AS server,
           v_paused_at AS paused_at,
           in_why AS why;
END$$

DELIMITER ;
