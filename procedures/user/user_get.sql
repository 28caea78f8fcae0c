-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- user_get: the cards of users.
--
-- in_ops  batch, in any order; owner is the user
--
-- Answer  : n, code, slot, epoch, server, user_id, name, avatar, background_image,
--           signature, follow_count, follower_count, total_favorited, work_count,
--           favorite_count, ver, in_ver
-- Answer 2: as _op_refusals (when this shard does not serve all owners)
-- Codes   : ok notfound moved notready
-- Touches : SELECT slot_fence (by slot), owner_home, user, inbound (by slot and user_id),
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
           IF(u.user_id IS NULL, 'notfound', 'ok') AS code,
           f.slot,
           f.epoch,
           f.server,
           u.user_id,
           u.name,
           u.avatar,
           u.background_image,
           u.signature,
           u.follow_count,
           i.follower_count,
           i.total_favorited,
           u.work_count,
           u.favorite_count,
           GREATEST(u.ver, f.epoch << 33) AS ver,
           GREATEST(i.ver, f.epoch << 33) AS in_ver
      FROM JSON_TABLE(in_ops, '$[*]' COLUMNS (
               n     FOR ORDINALITY,
               slot  INT UNSIGNED PATH '$.slot',
               epoch BIGINT UNSIGNED PATH '$.epoch',
               owner BIGINT UNSIGNED PATH '$.owner'
           )) AS j
     STRAIGHT_JOIN slot_fence AS f FORCE INDEX (PRIMARY)
        ON f.slot = j.slot
       AND f.answer = 'ok'
       AND f.epoch >= j.epoch
      LEFT JOIN owner_home AS h FORCE INDEX (PRIMARY)
        ON h.slot = IF(f.has_home = 1, f.slot, NULL)
       AND h.owner_id = j.owner
      LEFT JOIN user AS u FORCE INDEX (PRIMARY)
        ON u.slot = f.slot
       AND u.user_id = j.owner
       AND u.state <> 'erased'
      LEFT JOIN inbound AS i FORCE INDEX (PRIMARY)
        ON i.slot = u.slot
       AND i.user_id = u.user_id
     WHERE h.owner_id IS NULL
     ORDER BY j.n;

    IF FOUND_ROWS() < JSON_LENGTH(in_ops) THEN
        CALL _op_refusals(in_ops);
    END IF;
END$$

DELIMITER ;
