-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- edge_recover: restore first halves of edges that this shard has lost from their second halves.
--
-- in_ops  batch; owner is the user who follows or likes; each operation has
--           kind    follow or favorite
--           target  who is followed, which video is liked
--           state   1: follows, likes; 0: does not
--           ver     version of the second half
--           at      its time, ms since the Unix epoch
--
-- For shardctl verify of a shard that was restored from a backup: a second half proves that the
-- first was acknowledged here. Applied only when the version is newer than that of the row; no new
-- version is made. At most one operation per edge.
--
-- Answer  : n, code, slot, epoch, server
-- Answer 2: as _op_user_answer
-- Codes   : ok same (not newer) notfound (no such user, or erased) moved notready
-- Touches : SELECT, UPDATE user (by slot and user_id); SELECT, INSERT, UPDATE follow (by slot,
--           user_id, followed_id), favorite (by slot, user_id, video_id); journal
-- Errors  : 45400 malformed batch, or two operations on one edge
-- Replays : same

DROP PROCEDURE IF EXISTS edge_recover;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE edge_recover (
    IN in_ops JSON
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: bring back first halves of edges'
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
           j.owner,
           j.kind,
           j.target,
           j.state,
           j.ver,
           j.at
      FROM JSON_TABLE(in_ops, '$[*]' COLUMNS (
               n           FOR ORDINALITY,
               slot        INT UNSIGNED PATH '$.slot',
               slot_text   VARCHAR(24) PATH '$.slot',
               epoch       BIGINT UNSIGNED PATH '$.epoch',
               epoch_text  VARCHAR(24) PATH '$.epoch',
               owner       BIGINT UNSIGNED PATH '$.owner',
               owner_text  VARCHAR(24) PATH '$.owner',
               kind        VARCHAR(16) PATH '$.kind',
               target      BIGINT UNSIGNED PATH '$.target',
               target_text VARCHAR(24) PATH '$.target',
               state       TINYINT PATH '$.state',
               state_text  VARCHAR(24) PATH '$.state',
               ver         BIGINT UNSIGNED PATH '$.ver',
               ver_text    VARCHAR(24) PATH '$.ver',
               at          BIGINT PATH '$.at',
               at_text     VARCHAR(24) PATH '$.at'
           )) AS j
     WHERE CONCAT(j.slot, ',', j.epoch, ',', j.owner, ',', j.target, ',', j.state, ',', j.ver, ',',
                  j.at)
           = CONCAT(j.slot_text, ',', j.epoch_text, ',', j.owner_text, ',', j.target_text, ',',
                    j.state_text, ',', j.ver_text, ',', j.at_text)
       AND j.kind IN ('follow', 'favorite')
       AND j.owner > 0
       AND j.target > 0
       AND j.target <> j.owner
       AND j.state IN (0, 1)
       AND j.ver > 0
       AND j.at >= 0;

    CALL _op_opened(in_ops, ROW_COUNT(), 'owner, kind, another target, state 0 or 1, ver, at');

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    CALL _op_fence(v_moving);
    CALL _op_user_lock();

    UPDATE op AS o
      LEFT JOIN op_user AS m
        ON m.slot = o.slot
       AND m.user_id = o.owner
       AND m.state <> 'erased'
      LEFT JOIN follow AS fo FORCE INDEX (PRIMARY)
        ON fo.slot = IF(o.kind = 'follow', m.slot, NULL)
       AND fo.user_id = o.owner
       AND fo.followed_id = o.target
      LEFT JOIN favorite AS fa FORCE INDEX (PRIMARY)
        ON fa.slot = IF(o.kind = 'favorite', m.slot, NULL)
       AND fa.user_id = o.owner
       AND fa.video_id = o.target
       SET o.code = CASE WHEN m.user_id IS NULL
                         THEN 'notfound'
                         WHEN o.ver > COALESCE(fo.ver, fa.ver, 0)
                         THEN 'ok'
                         ELSE 'same'
                    END,
           o.was  = COALESCE(fo.state, fa.state, 0)
     WHERE o.code = 'ok';

    INSERT INTO follow (slot, user_id, followed_id, state, ver, at)
    SELECT o.slot,
           o.owner,
           o.target,
           o.state,
           o.ver,
           o.at
      FROM op AS o
     WHERE o.code = 'ok'
       AND o.kind = 'follow'
        ON DUPLICATE KEY UPDATE state = VALUES(state),
                                ver   = VALUES(ver),
                                at    = VALUES(at);

    INSERT INTO favorite (slot, user_id, video_id, state, ver, at)
    SELECT o.slot,
           o.owner,
           o.target,
           o.state,
           o.ver,
           o.at
      FROM op AS o
     WHERE o.code = 'ok'
       AND o.kind = 'favorite'
        ON DUPLICATE KEY UPDATE state = VALUES(state),
                                ver   = VALUES(ver),
                                at    = VALUES(at);

    -- The versions of the owners rise and are above every edge's, because their epoch is new.
    CALL _op_user_change();

    IF v_moving THEN
        CALL _slot_log_add_ops('follow');
        CALL _slot_log_add_ops('favorite');
        CALL _slot_log_add_ops('user');
    END IF;

    COMMIT;

    SELECT o.n,
           o.code,
           o.slot,
           o.epoch,
           o.server
      FROM op AS o
     ORDER BY o.n;

    CALL _op_user_answer();
END$$

DELIMITER ;
