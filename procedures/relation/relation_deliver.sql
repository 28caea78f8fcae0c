-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- relation_deliver: the second half of a follow or unfollow, at the user who is followed.
--
-- in_ops  batch; owner is that user; each operation has
--           actor  who follows, another user
--           state  1: follows; 0: does not
--           ver    version that relation_action gave to the edge
--           at     its time, ms since the Unix epoch
--
-- Applied only when the version is newer than that of the row, so that it may be called
-- twice and out of order. At most one operation per edge.
--
-- Answer  : n, code, slot, epoch, server
-- Answer 2: as _op_inbound_answer
-- Codes   : ok same (not newer) notfound (no live user) moved notready
-- Touches : SELECT, UPDATE inbound (by slot and user_id); SELECT, INSERT, UPDATE follower (by slot,
--           user_id, follower_id); journal
-- Errors  : 45400 malformed batch, or two operations on one edge
-- Replays : same. Counters change by what the row was and is, both under the lock of the
--           owner.

DROP PROCEDURE IF EXISTS relation_deliver;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE relation_deliver (
    IN in_ops JSON
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: second half of a follow'
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
           j.owner,
           'follow',
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
       AND j.actor <> j.owner
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
        CALL _op_known(1);
    ELSE
        CALL _op_exact(in_ops, 'actor,state,ver,at', 'owner, another actor, state 0 or 1, ver, at');
    END IF;

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    CALL _op_fence(v_moving);
    CALL _op_inbound_lock();

    UPDATE op AS o
      LEFT JOIN op_inbound AS i
        ON i.slot = o.slot
       AND i.user_id = o.owner
       AND i.state <> 'erased'
      LEFT JOIN follower AS e FORCE INDEX (PRIMARY)
        ON e.slot = i.slot
       AND e.user_id = o.owner
       AND e.follower_id = o.target
       SET o.code = CASE WHEN i.user_id IS NULL
                         THEN 'notfound'
                         WHEN o.ver > COALESCE(e.ver, 0)
                         THEN 'ok'
                         ELSE 'same'
                    END,
           o.was  = COALESCE(e.state, 0)
     WHERE o.code = 'ok';

    INSERT INTO follower (slot, user_id, follower_id, state, ver, at, pos)
    SELECT o.slot,
           o.owner,
           o.target,
           o.state,
           o.ver,
           o.at,
           GREATEST(i.follower_ver, o.epoch << 33) + o.place
      FROM op AS o
     STRAIGHT_JOIN op_inbound AS i
        ON i.slot = o.slot
       AND i.user_id = o.owner
     WHERE o.code = 'ok'
        ON DUPLICATE KEY UPDATE state = VALUES(state),
                                ver   = VALUES(ver),
                                at    = VALUES(at),
                                pos   = VALUES(pos);

    CALL _op_inbound_change();

    IF v_moving THEN
        CALL _slot_log_add_ops('follower');
        CALL _slot_log_add_ops('inbound');
    END IF;

    COMMIT;

    SELECT o.n,
           o.code,
           o.slot,
           o.epoch,
           o.server
      FROM op AS o;

    CALL _op_inbound_answer();
END$$

DELIMITER ;
