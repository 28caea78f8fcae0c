-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- erase_step: undo a part of what an erased user wrote and did.
--
-- in_slot     slot of the user
-- in_epoch    epoch of the slot, as the router believes
-- in_user_id  an erased user
-- in_limit    at most so many rows of each kind, 1 to 100
--
-- His videos are deleted, what he follows and likes becomes tombstones whose second halves
-- go through the outbox, and his mailboxes are emptied when nothing of them waits in the
-- outbox. Comments are at their videos: each row names one for which the caller calls
-- comment_delete with him as user. Called until left is 0, by whoever claimed the job
-- user_erase; every step is a transaction of its own. What others follow stays in their
-- lists as an id that nobody finds.
--
-- Answer  : n, code, slot, epoch, server, left (1: call again), video_id, comment_id (NULL:
--           there is no comment to be deleted)
-- Codes   : ok notfound (no erased user) moved notready
-- Touches : SELECT, UPDATE user, video (by slot and id), follow, favorite (by slot, user_id,
--           state, ver), outbox; SELECT commented, message, chat (by slot and user_id);
--           DELETE message, chat; INSERT job; journal
-- Errors  : 45400 an argument is NULL or out of range
-- Replays : goes on with what is left

DROP PROCEDURE IF EXISTS erase_step;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE erase_step (
    IN in_slot    INT UNSIGNED,
    IN in_epoch   BIGINT UNSIGNED,
    IN in_user_id BIGINT UNSIGNED,
    IN in_limit   INT
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: undo a part of what an erased user did'
BEGIN
    DECLARE v_ops      JSON;
    DECLARE v_slot     INT UNSIGNED;
    DECLARE v_moving   TINYINT;
    DECLARE v_edge_ver BIGINT UNSIGNED;
    DECLARE v_last     INT DEFAULT 1;
    DECLARE v_count    INT;
    DECLARE v_left     INT DEFAULT 0;
    DECLARE v_now      BIGINT DEFAULT _now_ms();

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    IF NOT COALESCE(in_slot >= 0
                    AND in_epoch >= 0
                    AND in_user_id BETWEEN 1 AND 9007199254740991
                    AND in_limit BETWEEN 1 AND 100, FALSE) THEN
        SIGNAL SQLSTATE '45400'
           SET MESSAGE_TEXT = 'erase_step needs slot, epoch, user_id, limit 1 to 100';
    END IF;

    SET v_ops = JSON_ARRAY(JSON_OBJECT('slot', in_slot, 'epoch', in_epoch, 'owner', in_user_id));

    CALL _op_open(v_ops);

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    CALL _op_fence();
    CALL _op_user_hold();

    SELECT MAX(o.slot),
           MAX(o.moving),
           MAX(u.edge_ver)
      INTO v_slot,
           v_moving,
           v_edge_ver
      FROM op AS o
     STRAIGHT_JOIN user AS u FORCE INDEX (PRIMARY)
        ON u.slot = o.slot
       AND u.user_id = o.owner
       AND u.state = 'erased'
     WHERE o.code = 'ok';

    UPDATE op AS o
       SET o.code = 'notfound'
     WHERE o.code = 'ok'
       AND v_slot IS NULL;

    -- Videos: op.owner is the video, as _video_delete wants it. Under the lock of their
    -- author they stay live, and in number.
    INSERT INTO op (n, code, slot, epoch, server, owner, user_id, moving, kind)
    SELECT ROW_NUMBER() OVER (ORDER BY t.video_id) + 1,
           'ok',
           v_slot,
           0,
           '',
           t.video_id,
           in_user_id,
           v_moving,
           'video'
      FROM (SELECT v.video_id
              FROM video AS v FORCE INDEX (author)
             WHERE v.slot = v_slot
               AND v.author_id = in_user_id
               AND v.state = 'live'
             ORDER BY v.video_id
             LIMIT in_limit) AS t;

    SELECT COUNT(*)
      INTO v_count
      FROM op AS o
     STRAIGHT_JOIN video AS v FORCE INDEX (PRIMARY)
        ON v.slot = o.slot
       AND v.video_id = o.owner
     WHERE o.kind = 'video'
       FOR UPDATE;

    CALL _video_delete();

    SELECT MAX(o.n)
      INTO v_last
      FROM op AS o;

    -- Edges: new versions, so that the tombstones win at the other end.
    INSERT INTO op (n, code, slot, epoch, server, owner, user_id, moving,
                    kind, target, state, was, ver, place)
    SELECT ROW_NUMBER() OVER (ORDER BY e.ver) + v_last,
           'ok',
           e.slot,
           0,
           '',
           e.user_id,
           e.user_id,
           v_moving,
           'follow',
           e.target_id,
           0,
           1,
           v_edge_ver + v_last + ROW_NUMBER() OVER (ORDER BY e.ver),
           0
      FROM (SELECT f.slot,
                   f.user_id,
                   f.followed_id AS target_id,
                   f.ver
              FROM follow AS f FORCE INDEX (newest)
             WHERE f.slot = v_slot
               AND f.user_id = in_user_id
               AND f.state = 1
             ORDER BY f.ver
             LIMIT in_limit) AS e;

    SELECT MAX(o.n)
      INTO v_last
      FROM op AS o;

    INSERT INTO op (n, code, slot, epoch, server, owner, user_id, moving,
                    kind, target, state, was, ver, place)
    SELECT ROW_NUMBER() OVER (ORDER BY e.ver) + v_last,
           'ok',
           e.slot,
           0,
           '',
           e.user_id,
           e.user_id,
           v_moving,
           'favorite',
           e.target_id,
           0,
           1,
           v_edge_ver + v_last + ROW_NUMBER() OVER (ORDER BY e.ver),
           0
      FROM (SELECT f.slot,
                   f.user_id,
                   f.video_id AS target_id,
                   f.ver
              FROM favorite AS f FORCE INDEX (newest)
             WHERE f.slot = v_slot
               AND f.user_id = in_user_id
               AND f.state = 1
             ORDER BY f.ver
             LIMIT in_limit) AS e;

    SELECT MAX(o.n)
      INTO v_last
      FROM op AS o;

    UPDATE op AS o
     STRAIGHT_JOIN follow AS e FORCE INDEX (PRIMARY)
        ON e.slot = o.slot
       AND e.user_id = o.owner
       AND e.followed_id = o.target
       SET e.state = 0,
           e.ver   = o.ver,
           e.at    = v_now
     WHERE o.kind = 'follow';

    UPDATE op AS o
     STRAIGHT_JOIN favorite AS e FORCE INDEX (PRIMARY)
        ON e.slot = o.slot
       AND e.user_id = o.owner
       AND e.video_id = o.target
       SET e.state = 0,
           e.ver   = o.ver,
           e.at    = v_now
     WHERE o.kind = 'favorite';

    INSERT INTO outbox (slot, actor_id, kind, target_id, seq, ver, at, due_at)
    SELECT o.slot,
           o.owner,
           o.kind,
           o.target,
           0,
           o.ver,
           v_now,
           v_now
      FROM op AS o
     WHERE o.kind IN ('follow', 'favorite')
     ORDER BY o.kind,
              o.target
        ON DUPLICATE KEY UPDATE ver      = VALUES(ver),
                                at       = VALUES(at),
                                due_at   = VALUES(due_at),
                                attempts = 0,
                                parked   = 0;

    UPDATE (SELECT SUM(o.kind = 'follow') AS follows,
                   SUM(o.kind = 'favorite') AS favorites,
                   MAX(o.ver) AS ver
              FROM op AS o
             WHERE o.kind IN ('follow', 'favorite')) AS d
     STRAIGHT_JOIN user AS u FORCE INDEX (PRIMARY)
        ON u.slot = v_slot
       AND u.user_id = in_user_id
       SET u.follow_count   = u.follow_count - d.follows,
           u.favorite_count = u.favorite_count - d.favorites,
           u.edge_ver       = d.ver,
           u.ver            = u.ver + 1
     WHERE d.ver IS NOT NULL;

    IF v_moving THEN
        INSERT INTO slot_log (slot, tbl, owner, k1, k2, k3, ks)
        SELECT o.slot,
               t.tbl,
               o.user_id,
               o.owner,
               o.target,
               IF(t.tbl = 'outbox', 0, NULL),
               IF(t.tbl = 'outbox', o.kind, NULL)
          FROM op AS o
          JOIN (SELECT 'follow' AS tbl
                 UNION ALL
                SELECT 'favorite'
                 UNION ALL
                SELECT 'outbox') AS t
            ON t.tbl IN (o.kind, 'outbox')
         WHERE o.kind IN ('follow', 'favorite');
    END IF;

    -- Mailboxes, when nothing that he sent is still to be delivered.
    IF v_slot IS NOT NULL
       AND NOT EXISTS (SELECT 1
                         FROM outbox AS x
                        WHERE x.slot = v_slot
                          AND x.actor_id = in_user_id
                          AND x.kind = 'message') THEN
        DELETE
          FROM message
         WHERE slot = v_slot
           AND user_id = in_user_id
         ORDER BY peer_id,
                  at
         LIMIT in_limit;

        IF NOT EXISTS (SELECT 1
                         FROM message AS m
                        WHERE m.slot = v_slot
                          AND m.user_id = in_user_id) THEN
            DELETE
              FROM chat
             WHERE slot = v_slot
               AND user_id = in_user_id;
        END IF;

        CALL _slot_log_add(v_moving, v_slot, 'message', in_user_id,
                           in_user_id, NULL, NULL, NULL, NULL);
        CALL _slot_log_add(v_moving, v_slot, 'chat', in_user_id,
                           in_user_id, NULL, NULL, NULL, NULL);
        CALL _slot_log_add(v_moving, v_slot, 'user', in_user_id,
                           in_user_id, NULL, NULL, NULL, NULL);
    END IF;

    SELECT EXISTS (SELECT 1
                     FROM op AS o
                    WHERE o.kind <> '')
           OR EXISTS (SELECT 1
                        FROM chat AS c
                       WHERE c.slot = v_slot
                         AND c.user_id = in_user_id)
           OR EXISTS (SELECT 1
                        FROM commented AS c
                       WHERE c.slot = v_slot
                         AND c.user_id = in_user_id
                         AND c.state = 1)
      INTO v_left;

    COMMIT;

    SELECT o.n,
           o.code,
           o.slot,
           o.epoch,
           o.server,
           IF(o.code = 'ok', v_left, NULL) AS `left`,
           t.video_id,
           t.comment_id
      FROM op AS o
      LEFT JOIN (SELECT c.video_id,
                        c.comment_id
                   FROM commented AS c
                  WHERE c.slot = v_slot
                    AND c.user_id = in_user_id
                    AND c.state = 1
                  LIMIT in_limit) AS t
        ON o.code = 'ok'
     WHERE o.n = 1
     ORDER BY t.video_id,
              t.comment_id;
END$$

DELIMITER ;
