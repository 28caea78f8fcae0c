-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- conn_kill: end a connection and wait until nothing of it is left.
--
-- in_tag      tag that the connection gave to conn_open
-- in_wait_ms  wait at most so long, 0 to 60000
--
-- A CALL outlives its client, so that a write whose answer was lost may still commit. After
-- gone = 1 it has either committed or will never do so: a session that ends first rolls back and
-- then releases its user locks (THD::cleanup in MariaDB 10.11 and MySQL 8), and the lock of the tag
-- is waited for. Only connections that hold a lock 'doushard:...' can be named.
--
-- Nothing here reads information_schema.processlist: MariaDB looks there at the security
-- contexts of other sessions without a lock, and that of a routine with a definer is freed as
-- soon as the session that runs it is killed; the strlen() of the host's name that follows can
-- take mariadbd down. Nor information_schema.innodb_trx: who reads that more often than every
-- 100 ms is shown old rows.
--
-- An account may not end its own connections while they run a routine of another definer,
-- which is why this routine has a definer of its own.
--
-- Answer  : gone
-- Touches : the lock of the tag; KILL
-- Errors  : 45400 an argument is NULL or out of range
-- Replays : a connection that is gone is gone

DROP PROCEDURE IF EXISTS conn_kill;

DELIMITER $$

CREATE DEFINER = doushard_killer@localhost PROCEDURE conn_kill (
    IN in_tag     VARCHAR(64),
    IN in_wait_ms INT
)
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v1: end a connection and wait until it is gone'
BEGIN
    DECLARE v_id   BIGINT UNSIGNED;
    DECLARE v_left INT;
    DECLARE v_gone BOOLEAN DEFAULT FALSE;

    DECLARE e_no_such_thread CONDITION FOR 1094;
    -- It ended by itself between the lookup and the kill.
    DECLARE CONTINUE HANDLER FOR e_no_such_thread BEGIN END;

    IF NOT COALESCE(CHAR_LENGTH(in_tag) BETWEEN 1 AND 48
                    AND in_wait_ms BETWEEN 0 AND 60000, FALSE) THEN
        SIGNAL SQLSTATE '45400' SET MESSAGE_TEXT = 'conn_kill needs a tag and wait_ms 0 to 60000';
    END IF;

    SET v_id   = IS_USED_LOCK(CONCAT('doushard:', in_tag));
    SET v_left = in_wait_ms;

    IF v_id = CONNECTION_ID() THEN
        SIGNAL SQLSTATE '45400' SET MESSAGE_TEXT = 'conn_kill cannot end its own connection';
    END IF;

    IF v_id IS NOT NULL THEN
        KILL CONNECTION v_id;
    END IF;

    wait_loop: LOOP
        SET v_gone = IS_USED_LOCK(CONCAT('doushard:', in_tag)) IS NULL;
        IF v_gone OR v_left <= 0 THEN
            LEAVE wait_loop;
        END IF;

        DO SLEEP(0.002);
        SET v_left = v_left - 2;
    END LOOP;

    SELECT v_gone AS gone;
END$$

DELIMITER ;
