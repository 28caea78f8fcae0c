-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- favorite_deliver: the second half of a like or unlike, at the video.
--
-- in_ops  batch; owner is the video; each operation has
--           actor  who likes
--           state  1: likes; 0: does not
--           ver    version that favorite_action gave to the edge
--           at     its time, ms since the Unix epoch
--
-- Applied only when the version is newer than that of the row, so that it may be called
-- twice and out of order. At most one operation per edge.
--
-- Answer  : n, code, slot, epoch, server
-- Answer 2: as _op_video_answer
-- Answer 3: as _op_inbound_answer (the authors)
-- Codes   : ok same (not newer) notfound (no live video of a live
--           user; nothing changes) moved notready
-- Touches : SELECT, UPDATE video, inbound (by slot and id); SELECT, INSERT, UPDATE liker (by slot,
--           video_id, user_id); journal
-- Errors  : 45400 malformed batch, or two operations on one edge
-- Replays : same. Counters change by what the row was and is, both under the lock of the
--           owner.

DROP PROCEDURE IF EXISTS favorite_deliver;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE favorite_deliver (
    IN in_ops JSON
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: second half of a like'
BEGIN
    DECLARE v_moving TINYINT;

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    CALL _op_begin(in_ops);

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
               n          FOR ORDINALITY,
               slot       INT UNSIGNED PATH '$.slot',
               slot_text  VARCHAR(24) PATH '$.slot',
               epoch      BIGINT UNSIGNED PATH '$.epoch',
               epoch_text VARCHAR(24) PATH '$.epoch',
               owner      BIGINT UNSIGNED PATH '$.owner',
               owner_text VARCHAR(24) PATH '$.owner',
               actor      BIGINT UNSIGNED PATH '$.actor',
               actor_text VARCHAR(24) PATH '$.actor',
               state      TINYINT PATH '$.state',
               state_text VARCHAR(24) PATH '$.state',
               ver        BIGINT UNSIGNED PATH '$.ver',
               ver_text   VARCHAR(24) PATH '$.ver',
               at         BIGINT PATH '$.at',
               at_text    VARCHAR(24) PATH '$.at'
           )) AS j
     WHERE CONCAT(j.slot, ',', j.epoch, ',', j.owner, ',', j.actor, ',', j.state, ',', j.ver, ',',
                  j.at)
           = CONCAT(j.slot_text, ',', j.epoch_text, ',', j.owner_text, ',', j.actor_text, ',',
                    j.state_text, ',', j.ver_text, ',', j.at_text)
       AND j.owner > 0
       AND j.actor > 0
       AND j.state IN (0, 1)
       AND j.ver > 0
       AND j.at >= 0;

    CALL _op_opened(in_ops, ROW_COUNT(), 'owner, actor, state 0 or 1, ver, at');

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
