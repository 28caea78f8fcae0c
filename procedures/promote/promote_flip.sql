-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- promote_flip: a user gets his own slot, or comes back from it.
--
-- in_move_id  the promotion or demotion
-- in_token    of the mover
-- in_keys     rows that differed when they were compared, as in _promote_same
-- in_limit    at most so many entries of the journal are carried over, 1 to 20000
--
-- One transaction on the shard that has both slots: nobody writes to either of them meanwhile. The
-- exclusive locks wait for writes that have passed the fences, and later writes wait for the locks:
-- so callers end this after some ms and try again.
--
-- An own slot begins above the epoch of the slot that its owner leaves, and that one goes on above
-- the epoch of the own slot when he comes back, since versions carry the epoch.
--
-- Answer  : is_done (0: too much is left to carry over; nothing was done), own_slot, epoch (of
--           the slot that has him now)
-- Touches : SELECT, INSERT, UPDATE slot_fence (by slot); SELECT, UPDATE slot_move (by move_id);
--           SELECT, DELETE slot_log (by slot); SELECT slot_lost, shard_self; DELETE, REPLACE owner
--           tables (by key); SELECT user, video (by slot and author); INSERT, DELETE owner_home (by
--           slot); INSERT, UPDATE slot_known; slot_gen
-- Errors  : 45400 the limit is out of range   45409 another mover has taken over, or a slot is not
--           as it should be   45503 the journal was not kept, or rows differ
-- Replays : 45409; slot_move says whether it was done: flipped_at

DROP PROCEDURE IF EXISTS promote_flip;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE promote_flip (
    IN in_move_id BIGINT UNSIGNED,
    IN in_token   VARCHAR(32),
    IN in_keys    LONGTEXT,
    IN in_limit   INT
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: a user changes his slot'
BEGIN
    DECLARE v_from   INT UNSIGNED;
    DECLARE v_shared INT UNSIGNED;
    DECLARE v_own    INT UNSIGNED;
    DECLARE v_owner  BIGINT UNSIGNED;
    DECLARE v_up     TINYINT;
    DECLARE v_epoch  BIGINT UNSIGNED;
    DECLARE v_high   BIGINT UNSIGNED;
    DECLARE v_good   TINYINT;
    DECLARE v_own_is TINYINT;
    DECLARE v_mine   TINYINT;
    DECLARE v_left   INT;
    DECLARE v_done   TINYINT DEFAULT 0;

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    IF NOT COALESCE(in_limit BETWEEN 1 AND 20000, FALSE) THEN
        SIGNAL SQLSTATE '45400' SET MESSAGE_TEXT = 'promote_flip needs a limit of 1 to 20000';
    END IF;

    CALL _move_tables();

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    SELECT MAX(m.slot),
           MAX((m.owner_id DIV 8) MOD 1024),
           MAX(m.own_slot),
           MAX(m.owner_id),
           MAX(m.kind = 'promote'),
           MAX(m.epoch)
      INTO v_from,
           v_shared,
           v_own,
           v_owner,
           v_up,
           v_epoch
      FROM slot_move AS m
     WHERE m.move_id = in_move_id
       AND m.kind <> 'move';

    SELECT MAX(f.slot = v_from AND f.token = UNHEX(in_token) AND f.state = 'migrating'
               AND f.answer = 'ok'),
           MIN(f.answer = 'ok' AND (f.slot = v_from OR (f.state = 'owned' AND f.journal = 0))),
           MAX(f.slot = v_own),
           MAX(GREATEST(f.epoch, f.heard_epoch))
      INTO v_mine,
           v_good,
           v_own_is,
           v_high
      FROM slot_fence AS f
     WHERE f.slot IN (v_shared, v_own)
       FOR UPDATE;

    SELECT v_mine AND v_good AND v_own_is <> v_up AND v_epoch > v_high
           AND COALESCE(MAX(m.token = UNHEX(in_token) AND m.flipped_at IS NULL), 0)
      INTO v_good
      FROM slot_move AS m
     WHERE m.move_id = in_move_id
       AND m.active IS NOT NULL
       FOR UPDATE;

    IF NOT COALESCE(v_good, 0) THEN
        SIGNAL SQLSTATE '45409' SET MESSAGE_TEXT = 'fenced out: the slots are not this mover\'s';
    END IF;

    IF EXISTS (SELECT 1
                 FROM slot_lost AS x
                WHERE x.slot = v_from) THEN
        SIGNAL SQLSTATE '45503' SET MESSAGE_TEXT = 'the journal of the slot was not kept';
    END IF;

    SELECT COUNT(*)
      INTO v_left
      FROM (SELECT l.id
              FROM slot_log AS l FORCE INDEX (drain)
             WHERE l.slot = v_from
             ORDER BY l.id
             LIMIT in_limit, 1) AS t;

    IF v_left = 0 THEN
        CALL _promote_carry(v_from, IF(v_up, v_own, v_shared), in_limit);

        CALL _promote_same(v_from, IF(v_up, v_own, v_shared), in_keys);

        DELETE
          FROM slot_log
         WHERE slot = v_from;

        IF v_up THEN
            INSERT INTO owner_home (slot, owner_id, own_slot, author_id, op)
            SELECT v_shared,
                   u.user_id,
                   v_own,
                   NULL,
                   NULL
              FROM user AS u
             WHERE u.slot = v_shared
               AND u.user_id = v_owner
             UNION ALL
            SELECT v_shared,
                   v.video_id,
                   v_own,
                   v.author_id,
                   v.op
              FROM video AS v FORCE INDEX (author)
             WHERE v.slot = v_shared
               AND v.author_id = v_owner;

            INSERT INTO slot_fence (slot, epoch, state, server, paused, changed_at)
            SELECT v_own,
                   v_epoch,
                   'owned',
                   ss.name,
                   ss.paused_at IS NOT NULL,
                   _now_ms()
              FROM shard_self AS ss;

            UPDATE slot_fence AS f
               SET f.state      = 'owned',
                   f.token      = NULL,
                   f.has_home   = 1,
                   f.changed_at = _now_ms()
             WHERE f.slot = v_shared;
        ELSE
            DELETE
              FROM owner_home
             WHERE slot = v_shared
               AND own_slot = v_own;

            UPDATE slot_fence AS f
               SET f.epoch      = v_epoch,
                   f.has_home   = EXISTS (SELECT 1
                                            FROM owner_home AS h
                                           WHERE h.slot = v_shared),
                   f.changed_at = _now_ms()
             WHERE f.slot = v_shared;

            UPDATE slot_fence AS f
               SET f.state      = 'gone',
                   f.server     = '',
                   f.epoch      = v_epoch,
                   f.token      = NULL,
                   f.changed_at = _now_ms()
             WHERE f.slot = v_own;
        END IF;

        INSERT INTO slot_known (slot, epoch, server)
        SELECT f.slot,
               f.epoch,
               f.server
          FROM slot_fence AS f
         WHERE f.slot IN (v_shared, v_own)
            ON DUPLICATE KEY UPDATE
               epoch  = VALUES(epoch),
               server = VALUES(server);

        UPDATE slot_move AS m
           SET m.phase      = 'purging',
               m.flipped_at = _now_ms()
         WHERE m.move_id = in_move_id;

        CALL _slot_changed();

        SET v_done = 1;
    END IF;

    COMMIT;

    SELECT v_done AS is_done,
           v_own AS own_slot,
           v_epoch AS epoch;
END$$

DELIMITER ;
