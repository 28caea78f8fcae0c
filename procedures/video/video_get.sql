-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- video_get: videos with the cards of their authors.
--
-- in_ops  batch, in any order; owner is the video
--
-- Answer  : n, code, slot, epoch, server, user_id, name, avatar, background_image,
--           signature, follow_count, follower_count, total_favorited, work_count,
--           favorite_count, ver, video_id, title, media, video_favorite_count,
--           comment_count, published_at, video_ver
-- Codes   : ok notfound (no live video of a live user) moved notready
-- Touches : SELECT slot_fence, slot_known (by slot), owner_home, video, user (by slot and
--           id), in one snapshot
-- Errors  : 45400 malformed batch
-- Replays : reads only

DROP PROCEDURE IF EXISTS video_get;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE video_get (
    IN in_ops JSON
)
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v1: videos with the cards of their authors'
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
           u.ver,
           IF(u.user_id IS NULL, NULL, v.video_id) AS video_id,
           IF(u.user_id IS NULL, NULL, v.title) AS title,
           IF(u.user_id IS NULL, NULL, v.media) AS media,
           IF(u.user_id IS NULL, NULL, v.favorite_count) AS video_favorite_count,
           IF(u.user_id IS NULL, NULL, v.comment_count) AS comment_count,
           IF(u.user_id IS NULL, NULL, v.published_at) AS published_at,
           IF(u.user_id IS NULL, NULL, v.ver) AS video_ver
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
      LEFT JOIN video AS v FORCE INDEX (PRIMARY)
        ON v.slot = IF(f.answer = 'ok' AND f.epoch >= j.epoch AND h.own_slot IS NULL, j.slot, NULL)
       AND v.video_id = j.owner
       AND v.state = 'live'
      LEFT JOIN user AS u FORCE INDEX (PRIMARY)
        ON u.slot = v.slot
       AND u.user_id = v.author_id
       AND u.state = 'live'
     ORDER BY j.n;
END$$

DELIMITER ;
