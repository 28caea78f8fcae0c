-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- outbox_retry: have second halves of an owner delivered now.
--
-- in_id  user, or video (of comments), whose write has a second half
--
-- Parked rows get 20 new attempts; rows that were put off are due at once, so that messages after a
-- parked one follow it. At most 256 rows: call it again while released is 256.
--
-- Answer  : n, code, slot, epoch, server, released (rows)
-- Codes   : ok moved notready
-- Touches : SELECT, UPDATE outbox (by slot and actor_id); SELECT video (by slot and video_id);
--           journal
-- Errors  : 45400 no id
-- Replays : releases what is parked or put off again

DROP PROCEDURE IF EXISTS outbox_retry;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE outbox_retry (
    IN in_id BIGINT UNSIGNED
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: let second halves be delivered now'
BEGIN
    DECLARE v_ops      JSON;
    DECLARE v_slot     INT UNSIGNED;
    DECLARE v_user_id  BIGINT UNSIGNED;
    DECLARE v_moving   TINYINT;
    DECLARE v_released INT;
    DECLARE v_now      BIGINT DEFAULT _now_ms();

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    IF NOT COALESCE(in_id BETWEEN 1 AND 9007199254740991, FALSE) THEN
        SIGNAL SQLSTATE '45400' SET MESSAGE_TEXT = 'outbox_retry needs the id of a user or a video';
    END IF;

    SET v_ops = _op_home(in_id);

    CALL _op_open(v_ops);

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    CALL _op_fence(v_moving);

    -- Rows of a video move with its author.
    SELECT MAX(o.slot),
           MAX(COALESCE(v.author_id, o.owner)),
           MAX(o.moving)
      INTO v_slot,
           v_user_id,
           v_moving
      FROM op AS o
      LEFT JOIN video AS v FORCE INDEX (PRIMARY)
        ON v.slot = o.slot
       AND v.video_id = o.owner
     WHERE o.code = 'ok';

    INSERT INTO op (n, slot, epoch, owner, user_id, moving, kind, target, seq, ver)
    SELECT ROW_NUMBER() OVER (ORDER BY w.kind, w.target_id, w.seq) + 1,
           w.slot,
           0,
           w.actor_id,
           v_user_id,
           v_moving,
           w.kind,
           w.target_id,
           w.seq,
           w.ver
      FROM (SELECT x.slot,
                   x.actor_id,
                   x.kind,
                   x.target_id,
                   x.seq,
                   x.ver
              FROM outbox AS x FORCE INDEX (PRIMARY)
             WHERE x.slot = v_slot
               AND x.actor_id = in_id
               AND (x.parked = 1 OR x.due_at > v_now)
             ORDER BY x.kind,
                      x.target_id,
                      x.seq
             LIMIT 256) AS w;

    CALL _op_outbox_lock();

    UPDATE op AS o
     STRAIGHT_JOIN outbox AS x FORCE INDEX (PRIMARY)
        ON x.slot = o.slot
       AND x.actor_id = o.owner
       AND x.kind = o.kind
       AND x.target_id = o.target
       AND x.seq = o.seq
       SET x.attempts = IF(x.parked = 1, 0, x.attempts),
           x.due_at   = v_now,
           x.parked   = 0
     WHERE o.code = 'ok'
       AND o.kind <> '';

    SELECT SUM(o.code = 'ok')
      INTO v_released
      FROM op AS o
     WHERE o.n > 1;

    -- The first operation names the owner, not a row.
    UPDATE op AS o
       SET o.moving = 0
     WHERE o.kind = '';

    IF v_moving THEN
        CALL _slot_log_add_ops('outbox');
    END IF;

    COMMIT;

    SELECT o.n,
           IF(o.code = 'same', 'ok', o.code) AS code,
           o.slot,
           o.epoch,
           o.server,
           COALESCE(v_released, 0) AS released
      FROM op AS o
     WHERE o.n = 1;
END$$

DELIMITER ;
