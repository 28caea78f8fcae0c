-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- video_get: videos with the cards of their authors.
--
-- in_ops  batch, in any order; owner is the video
--
-- Answer  : n, code, slot, epoch, server, user_id, name, avatar, background_image,
--           signature, follow_count, follower_count, total_favorited, work_count,
--           favorite_count, ver, in_ver, video_id, title, media, video_favorite_count,
--           comment_count, published_at, video_ver
-- Answer 2: as _op_refusals (when this shard does not serve all owners)
-- Codes   : ok notfound (no live video of a live user) moved notready
-- Touches : SELECT slot_fence (by slot), owner_home, video, user (by slot and
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
           GREATEST(i.ver, f.epoch << 33) AS in_ver,
           IF(u.user_id IS NULL, NULL, v.video_id) AS video_id,
           IF(u.user_id IS NULL, NULL, v.title) AS title,
           IF(u.user_id IS NULL, NULL, v.media) AS media,
           IF(u.user_id IS NULL, NULL, v.favorite_count) AS video_favorite_count,
           IF(u.user_id IS NULL, NULL, v.comment_count) AS comment_count,
           IF(u.user_id IS NULL, NULL, v.published_at) AS published_at,
           IF(u.user_id IS NULL, NULL, GREATEST(v.ver, f.epoch << 33)) AS video_ver
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
      LEFT JOIN video AS v FORCE INDEX (PRIMARY)
        ON v.slot = f.slot
       AND v.video_id = j.owner
       AND v.state = 'live'
      LEFT JOIN user AS u FORCE INDEX (PRIMARY)
        ON u.slot = v.slot
       AND u.user_id = v.author_id
       AND u.state = 'live'
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
