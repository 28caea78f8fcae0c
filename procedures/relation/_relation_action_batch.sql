-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _relation_action_batch: relation_action, of any number of operations.
--
-- in_ops  the batch
--
-- Touches : SELECT, UPDATE user (by slot and user_id); SELECT, INSERT, UPDATE follow (by slot,
--           user_id, followed_id); SELECT, INSERT, UPDATE outbox (by key); journal; what
--           _relation_there_lock and _relation_there touch
-- Errors  : 45400 malformed batch, or two operations on one edge
-- Replays : as relation_action. The old state is read under the lock of the user, so that two
--           racing requests cannot both count.

DROP PROCEDURE IF EXISTS _relation_action_batch;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _relation_action_batch (
    IN in_ops JSON
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: follow and unfollow users'
BEGIN
    DECLARE v_bytes  BIGINT;
    DECLARE v_moving TINYINT;
    DECLARE v_now    BIGINT;
    DECLARE v_there  TINYINT;

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        CALL _op_size(in_ops);
        RESIGNAL;
    END;

    -- Not as an argument of the CALL, because the server copies values named in a statement for its
    -- log.
    SET v_bytes = LENGTH(in_ops);
    CALL _op_clear(v_bytes);

    INSERT INTO op (n, slot, epoch, owner, user_id, kind, target, state, id, prev)
    SELECT j.n,
           j.slot,
           j.epoch,
           j.owner,
           j.owner,
           'follow',
           j.target,
           j.state,
           COALESCE(j.target_slot, 0),
           COALESCE(j.target_epoch, 0)
      FROM JSON_TABLE(in_ops, '$[*]' COLUMNS (
               n            FOR ORDINALITY,
               slot         INT UNSIGNED PATH '$.slot',
               epoch        BIGINT UNSIGNED PATH '$.epoch',
               owner        BIGINT UNSIGNED PATH '$.owner',
               target       BIGINT UNSIGNED PATH '$.target',
               state        TINYINT PATH '$.state',
               target_slot  INT UNSIGNED PATH '$.target_slot',
               target_epoch BIGINT UNSIGNED PATH '$.target_epoch'
           )) AS j
     WHERE j.slot IS NOT NULL
       AND j.epoch IS NOT NULL
       AND j.owner > 0
       AND j.target > 0
       AND j.target <> j.owner
       AND j.state IN (0, 1);

    -- The form in which a server writes it.
    IF (SELECT CONCAT('[', GROUP_CONCAT('{"target":', o.target,
                                           ',"state":', o.state,
                                           IF(o.prev = 0, '',
                                              CONCAT(',"target_slot":', o.id,
                                                     ',"target_epoch":', o.prev)),
                                           ',"slot":', o.slot,
                                           ',"epoch":', o.epoch,
                                           ',"owner":', o.owner, '}'
                                        ORDER BY o.slot, o.owner, o.n), ']')
          FROM op AS o) = in_ops THEN
        CALL _op_known(1);
    ELSE
        CALL _op_exact(in_ops, 'target,state,target_slot',
                       'owner, another target and state 0 or 1');
    END IF;

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    CALL _op_fences(v_moving, v_there);
    CALL _op_user_lock();

    SET v_now = _now_ms();

    -- The present edges. A missing one counts as a tombstone.
    UPDATE op AS o
      LEFT JOIN op_user AS m
        ON m.slot = o.slot
       AND m.user_id = o.owner
       AND m.state = 'live'
      LEFT JOIN follow AS e FORCE INDEX (PRIMARY)
        ON e.slot = m.slot
       AND e.user_id = m.user_id
       AND e.followed_id = o.target
      LEFT JOIN outbox AS x FORCE INDEX (PRIMARY)
        ON x.slot = IF(o.state = e.state, e.slot, NULL)
       AND x.actor_id = o.owner
       AND x.kind = o.kind
       AND x.target_id = o.target
       AND x.seq = 0
       AND x.ver = e.ver
       SET o.code    = CASE WHEN m.user_id IS NULL
                            THEN 'notfound'
                            WHEN o.state = COALESCE(e.state, 0)
                            THEN 'same'
                            ELSE 'ok'
                       END,
           o.was     = COALESCE(e.state, 0),
           o.ver     = IF(o.state = COALESCE(e.state, 0),
                          COALESCE(e.ver, 0),
                          GREATEST(COALESCE(m.edge_ver, 0), o.epoch << 33) + o.place),
           o.at      = IF(o.state = COALESCE(e.state, 0), COALESCE(e.at, 0), v_now),
           o.pending = IF(o.state = COALESCE(e.state, 0), x.ver IS NOT NULL, o.prev = 0)
     WHERE o.code = 'ok';

    IF v_there THEN
        CALL _relation_there_lock();
    END IF;

    INSERT INTO follow (slot, user_id, followed_id, state, ver, at)
    SELECT o.slot,
           o.owner,
           o.target,
           o.state,
           o.ver,
           o.at
      FROM op AS o
     WHERE o.code = 'ok'
        ON DUPLICATE KEY UPDATE state = VALUES(state),
                                ver   = VALUES(ver),
                                at    = VALUES(at);

    INSERT INTO outbox (slot, actor_id, kind, target_id, seq, ver, at, due_at)
    SELECT o.slot,
           o.owner,
           o.kind,
           o.target,
           o.seq,
           o.ver,
           o.at,
           o.at
      FROM op AS o
     WHERE o.code = 'ok'
       AND o.pending = 1
        ON DUPLICATE KEY UPDATE ver      = VALUES(ver),
                                at       = VALUES(at),
                                due_at   = VALUES(due_at),
                                attempts = 0,
                                parked   = 0;

    CALL _op_user_change();

    IF v_there THEN
        CALL _relation_there();
    END IF;

    IF v_moving THEN
        CALL _slot_log_add_ops('follow');
        CALL _slot_log_add_ops('outbox');
        CALL _slot_log_add_ops('user');
    END IF;

    COMMIT;

    SELECT o.n,
           o.code,
           o.slot,
           o.epoch,
           o.server,
           IF(o.code IN ('ok', 'same'), o.ver, NULL) AS ver,
           IF(o.code IN ('ok', 'same'), o.at, NULL) AS at,
           IF(o.code IN ('ok', 'same'), o.pending, NULL) AS pending
      FROM op AS o;

    CALL _op_user_answer();

    IF v_there THEN
        CALL _op_inbound_answer();
    END IF;
END$$

DELIMITER ;
