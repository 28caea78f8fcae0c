-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- user_get: the cards of users.
--
-- in_ops  batch, in any order; owner is the user
--
-- Answer  : n, code, slot, epoch, server, user_id, name, avatar, background_image,
--           signature, follow_count, follower_count, total_favorited, work_count,
--           favorite_count, ver
-- Codes   : ok notfound moved notready
-- Touches : SELECT slot_fence, slot_known (by slot), owner_home, user (by slot and user_id),
--           in one snapshot
-- Errors  : 45400 malformed batch
-- Replays : reads only

DROP PROCEDURE IF EXISTS user_get;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE user_get (
    IN in_ops JSON
)
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v1: the cards of users'
BEGIN
    CALL _op_check(in_ops);

    SELECT j.n,
           CASE WHEN f.slot IS NULL OR f.epoch < j.epoch OR h.own_slot IS NOT NULL
                THEN 'moved'
                WHEN f.answer <> 'ok'
                THEN f.answer
                WHEN u.user_id IS NULL
                THEN 'notfound'
                ELSE 'ok'
           END AS code,
           COALESCE(h.own_slot, j.slot) AS slot,
           CASE WHEN h.own_slot IS NOT NULL
                THEN COALESCE(k.epoch, 0)
                ELSE GREATEST(COALESCE(f.epoch, 0), COALESCE(k.epoch, 0))
           END AS epoch,
           CASE WHEN h.own_slot IS NOT NULL OR COALESCE(k.epoch > f.epoch, f.slot IS NULL)
                THEN COALESCE(k.server, '')
                ELSE f.server
           END AS server,
           u.user_id,
           u.name,
           u.avatar,
           u.background_image,
           u.signature,
           u.follow_count,
           u.follower_count,
           u.total_favorited,
           u.work_count,
           u.favorite_count,
           u.ver
      FROM JSON_TABLE(in_ops, '$[*]' COLUMNS (
               n     FOR ORDINALITY,
               slot  INT UNSIGNED PATH '$.slot',
               epoch BIGINT UNSIGNED PATH '$.epoch',
               owner BIGINT UNSIGNED PATH '$.owner'
           )) AS j
      LEFT JOIN slot_fence AS f FORCE INDEX (PRIMARY)
        ON f.slot = j.slot
      LEFT JOIN owner_home AS h FORCE INDEX (PRIMARY)
        ON h.slot = IF(f.has_home = 1 AND f.answer = 'ok' AND f.epoch >= j.epoch, j.slot, NULL)
       AND h.owner_id = j.owner
      LEFT JOIN slot_known AS k FORCE INDEX (PRIMARY)
        ON k.slot = COALESCE(h.own_slot, j.slot)
      LEFT JOIN user AS u FORCE INDEX (PRIMARY)
        ON u.slot = IF(f.answer = 'ok' AND f.epoch >= j.epoch AND h.own_slot IS NULL, j.slot, NULL)
       AND u.user_id = j.owner
       AND u.state = 'live'
     ORDER BY j.n;
END$$

DELIMITER ;
