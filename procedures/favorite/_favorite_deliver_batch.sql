-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _favorite_deliver_batch: favorite_deliver, of any number of operations.
--
-- in_ops  the batch
--
-- Touches : SELECT, UPDATE video, inbound (by slot and id); SELECT, INSERT, UPDATE liker (by slot,
--           video_id, user_id); journal
-- Errors  : 45400 malformed batch, or two operations on one edge
-- Replays : as favorite_deliver. Counters change by what the row was and is, both under the lock
--           of the owner.

DROP PROCEDURE IF EXISTS _favorite_deliver_batch;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _favorite_deliver_batch (
    IN in_ops JSON
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: second halves of likes'
BEGIN
    DECLARE v_bytes  BIGINT;
    DECLARE v_moving TINYINT;

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

    INSERT INTO op (n, slot, epoch, owner, user_id, kind, target, state, ver, at)
    SELECT j.n,
           j.slot,
           j.epoch,
           j.owner,
           0,
           'favorite',
           j.actor,
           j.state,
           j.ver,
           j.at
      FROM JSON_TABLE(in_ops, '$[*]' COLUMNS (
               n     FOR ORDINALITY,
               slot  INT UNSIGNED PATH '$.slot',
               epoch BIGINT UNSIGNED PATH '$.epoch',
               owner BIGINT UNSIGNED PATH '$.owner',
               actor BIGINT UNSIGNED PATH '$.actor',
               state TINYINT PATH '$.state',
               ver   BIGINT UNSIGNED PATH '$.ver',
               at    BIGINT PATH '$.at'
           )) AS j
     WHERE j.slot IS NOT NULL
       AND j.epoch IS NOT NULL
       AND j.owner > 0
       AND j.actor > 0
       AND j.state IN (0, 1)
       AND j.ver > 0
       AND j.at >= 0;

    -- The form in which a server writes it.
    IF (SELECT CONCAT('[', GROUP_CONCAT('{"actor":', o.target,
                                           ',"state":', o.state,
                                           ',"ver":', o.ver,
                                           ',"at":', o.at,
                                           ',"slot":', o.slot,
                                           ',"epoch":', o.epoch,
                                           ',"owner":', o.owner, '}'
                                        ORDER BY o.slot, o.owner, o.n), ']')
          FROM op AS o) = in_ops THEN
        CALL _op_known(0);
    ELSE
        CALL _op_exact(in_ops, 'actor,state,ver,at', 'owner, actor, state 0 or 1, ver, at');
    END IF;

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    CALL _op_fence(v_moving);
    CALL _op_video_lock();
    CALL _op_author_lock();

    UPDATE op AS o
      LEFT JOIN op_video AS v
        ON v.slot = o.slot
       AND v.video_id = o.owner
       AND v.state = 'live'
      LEFT JOIN op_inbound AS i
        ON i.slot = v.slot
       AND i.user_id = v.author_id
       AND i.state <> 'erased'
      LEFT JOIN liker AS e FORCE INDEX (PRIMARY)
        ON e.slot = i.slot
       AND e.video_id = o.owner
       AND e.user_id = o.target
       SET o.code    = CASE WHEN i.user_id IS NULL
                            THEN 'notfound'
                            WHEN o.ver > COALESCE(e.ver, 0)
                            THEN 'ok'
                            ELSE 'same'
                       END,
           o.user_id = COALESCE(v.author_id, 0),
           o.was     = COALESCE(e.state, 0)
     WHERE o.code = 'ok';

    INSERT INTO liker (slot, video_id, user_id, state, ver, at)
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

    CALL _op_video_change();
    CALL _op_inbound_change();

    IF v_moving THEN
        CALL _slot_log_add_ops('liker');
        CALL _slot_log_add_ops('video');
        CALL _slot_log_add_ops('inbound');
    END IF;

    COMMIT;

    SELECT o.n,
           o.code,
           o.slot,
           o.epoch,
           o.server
      FROM op AS o;

    CALL _op_video_answer();
    CALL _op_inbound_answer();
END$$

DELIMITER ;
