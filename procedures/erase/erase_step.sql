-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- erase_step: undo a part of what an erased user wrote and did.
--
-- in_slot     slot of the user
-- in_epoch    epoch of the slot, as the router believes
-- in_user_id  an erased user
-- in_peer_id  which of his messages: those after this peer
-- in_at       and this time; both 0: from the first one
-- in_limit    at most so many rows of each kind, 1 to 100
--
-- His videos are deleted, what he follows and likes becomes tombstones whose second halves
-- go through the outbox. So do the messages that he sent: they are taken back, and removed
-- when nothing of them waits in the outbox; those that he received are removed at once.
-- Comments are at their videos: each row names one for which the caller calls comment_delete
-- with him as user. Called until left is 0, with the peer_id and at of the answer before, by
-- whoever claimed the job user_erase; every step is a transaction of its own. What others
-- follow stays in their lists as an id that nobody finds.
--
-- Answer  : n, code, slot, epoch, server, left (1: call again), peer_id, at (where to go on;
--           both 0: from the first message), video_id, comment_id (NULL: there is no comment
--           to be deleted)
-- Codes   : ok notfound (no erased user) moved notready
-- Touches : SELECT, UPDATE user, video (by slot and id), follow, favorite (by slot, user_id,
--           state, ver), message (by slot, user_id, peer_id, at), outbox; SELECT commented,
--           chat (by slot and user_id); DELETE message, chat; INSERT job; journal
-- Errors  : 45400 an argument is NULL or out of range
-- Replays : goes on with what is left

DROP PROCEDURE IF EXISTS erase_step;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE erase_step (
    IN in_slot    INT UNSIGNED,
    IN in_epoch   BIGINT UNSIGNED,
    IN in_user_id BIGINT UNSIGNED,
    IN in_peer_id BIGINT UNSIGNED,
    IN in_at      BIGINT,
    IN in_limit   INT
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v2: undo a part of what an erased user did'
BEGIN
    DECLARE v_ops      JSON;
    DECLARE v_slot     INT UNSIGNED;
    DECLARE v_moving   TINYINT;
    DECLARE v_edge_ver BIGINT UNSIGNED;
    DECLARE v_last     INT DEFAULT 1;
    DECLARE v_count    INT;
    DECLARE v_left     INT DEFAULT 0;
    DECLARE v_peer_id  BIGINT UNSIGNED;
    DECLARE v_at       BIGINT;
    DECLARE v_now      BIGINT DEFAULT _now_ms();

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    IF NOT COALESCE(in_slot >= 0
                    AND in_epoch >= 0
                    AND in_user_id BETWEEN 1 AND 9007199254740991
                    AND in_peer_id >= 0
                    AND in_at >= 0
                    AND in_limit BETWEEN 1 AND 100, FALSE) THEN
        SIGNAL SQLSTATE '45400'
           SET MESSAGE_TEXT = 'erase_step needs slot, epoch, user_id, peer_id, at, limit 1 to 100';
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

    -- Messages: kind message is to be taken back, mail to be removed; what still waits in the
    -- outbox stays.
    INSERT INTO op (n, code, slot, epoch, server, owner, user_id, moving,
                    kind, target, seq, at, was, ver)
    SELECT ROW_NUMBER() OVER (ORDER BY w.peer_id, w.at) + v_last,
           'ok',
           w.slot,
           0,
           '',
           w.user_id,
           w.user_id,
           v_moving,
           CASE WHEN w.sent = 1 AND w.state = 1
                THEN 'message'
                WHEN x.slot IS NULL
                THEN 'mail'
                ELSE ''
           END,
           w.peer_id,
           w.seq,
           w.at,
           1,
           2
      FROM (SELECT m.slot,
                   m.user_id,
                   m.peer_id,
                   m.at,
                   m.sent,
                   m.seq,
                   m.state
              FROM message AS m FORCE INDEX (PRIMARY)
             WHERE m.slot = v_slot
               AND m.user_id = in_user_id
               AND m.peer_id >= in_peer_id
               AND (m.peer_id > in_peer_id OR m.at > in_at)
             ORDER BY m.peer_id,
                      m.at
             LIMIT in_limit) AS w
      LEFT JOIN outbox AS x FORCE INDEX (PRIMARY)
        ON x.slot = IF(w.sent = 1, w.slot, NULL)
       AND x.actor_id = w.user_id
       AND x.kind = 'message'
       AND x.target_id = w.peer_id
       AND x.seq = w.seq;

    -- A full window has more behind it.
    SELECT COUNT(*),
           MAX(o.target)
      INTO v_count,
           v_peer_id
      FROM op AS o
     WHERE o.n > v_last;

    SELECT MAX(o.at)
      INTO v_at
      FROM op AS o
     WHERE o.n > v_last
       AND o.target = v_peer_id;

    UPDATE op AS o
     STRAIGHT_JOIN message AS m FORCE INDEX (PRIMARY)
        ON m.slot = o.slot
       AND m.user_id = o.owner
       AND m.peer_id = o.target
       AND m.at = o.at
       SET m.state = 0,
           m.text  = ''
     WHERE o.kind = 'message';

    DELETE m
      FROM op AS o
     STRAIGHT_JOIN message AS m FORCE INDEX (PRIMARY)
        ON m.slot = o.slot
       AND m.user_id = o.owner
       AND m.peer_id = o.target
       AND m.at = o.at
     WHERE o.kind = 'mail';

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
           o.seq,
           o.ver,
           v_now,
           v_now
      FROM op AS o
     WHERE o.kind IN ('follow', 'favorite', 'message')
     ORDER BY o.kind,
              o.target,
              o.seq
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
               CASE t.tbl
                    WHEN 'outbox'
                    THEN o.seq
                    WHEN 'message'
                    THEN o.at
               END,
               IF(t.tbl = 'outbox', o.kind, NULL)
          FROM op AS o
          JOIN (SELECT 'follow' AS tbl
                 UNION ALL
                SELECT 'favorite'
                 UNION ALL
                SELECT 'message'
                 UNION ALL
                SELECT 'outbox') AS t
            ON t.tbl = IF(o.kind = 'mail', 'message', o.kind)
            OR (t.tbl = 'outbox' AND o.kind <> 'mail')
         WHERE o.kind IN ('follow', 'favorite', 'message', 'mail');
    END IF;

    -- Chats, when no message is left.
    IF v_slot IS NOT NULL
       AND NOT EXISTS (SELECT 1
                         FROM message AS m
                        WHERE m.slot = v_slot
                          AND m.user_id = in_user_id) THEN
        DELETE
          FROM chat
         WHERE slot = v_slot
           AND user_id = in_user_id
         ORDER BY peer_id
         LIMIT in_limit;

        CALL _slot_log_add(v_moving, v_slot, 'chat', in_user_id,
                           in_user_id, NULL, NULL, NULL, NULL);
    END IF;

    CALL _slot_log_add(v_moving, v_slot, 'user', in_user_id,
                       in_user_id, NULL, NULL, NULL, NULL);

    SELECT EXISTS (SELECT 1
                     FROM op AS o
                    WHERE o.kind NOT IN ('', 'mail'))
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
           IF(o.code = 'ok', IF(v_count < in_limit, 0, v_peer_id), NULL) AS peer_id,
           IF(o.code = 'ok', IF(v_count < in_limit, 0, v_at), NULL) AS at,
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
