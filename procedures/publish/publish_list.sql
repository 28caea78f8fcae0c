-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- publish_list: the live videos of one user, newest first, with the user's card.
--
-- in_slot     slot of the user
-- in_epoch    epoch of the slot, as the router believes
-- in_user_id  user
-- in_cursor   videos with smaller ids only; 0: from the newest
-- in_limit    at most so many, 1 to 1000
--
-- A user without videos (below the cursor) is one row whose video columns are NULL.
--
-- Answer  : n, code, slot, epoch, server, user_id, name, avatar, background_image,
--           signature, follow_count, follower_count, total_favorited, work_count,
--           favorite_count, ver, in_ver, video_id, title, media, video_favorite_count,
--           comment_count, published_at, video_ver
-- Answer 2: as _op_refusals (when this shard does not serve the owner)
-- Codes   : ok notfound moved notready
-- Touches : SELECT slot_fence (by slot), owner_home, user, inbound (by slot and user_id),
--           video (by slot, author_id, state, video_id, backwards), in one snapshot
-- Errors  : 45400 an argument is NULL or out of range
-- Replays : reads only

DROP PROCEDURE IF EXISTS publish_list;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE publish_list (
    IN in_slot    INT UNSIGNED,
    IN in_epoch   BIGINT UNSIGNED,
    IN in_user_id BIGINT UNSIGNED,
    IN in_cursor  BIGINT UNSIGNED,
    IN in_limit   INT
)
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v1: the videos of one user'
BEGIN
    DECLARE v_below BIGINT UNSIGNED DEFAULT IF(in_cursor = 0, 18446744073709551615, in_cursor);

    IF NOT COALESCE(in_slot >= 0
                    AND in_epoch >= 0
                    AND in_user_id > 0
                    AND in_cursor >= 0
                    AND in_limit BETWEEN 1 AND 1000, FALSE) THEN
        SIGNAL SQLSTATE '45400'
           SET MESSAGE_TEXT = 'publish_list needs slot, epoch, user_id, cursor, limit 1 to 1000';
    END IF;

    SELECT 1 AS n,
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
           v.video_id,
           v.title,
           v.media,
           v.favorite_count AS video_favorite_count,
           v.comment_count,
           v.published_at,
           GREATEST(v.ver, f.epoch << 33) AS video_ver
      FROM slot_fence AS f
      LEFT JOIN owner_home AS h
        ON h.slot = IF(f.has_home = 1, f.slot, NULL)
       AND h.owner_id = in_user_id
      LEFT JOIN user AS u
        ON u.slot = f.slot
       AND u.user_id = in_user_id
       AND u.state <> 'erased'
      LEFT JOIN inbound AS i
        ON i.slot = u.slot
       AND i.user_id = u.user_id
      LEFT JOIN (SELECT vi.slot,
                        vi.author_id,
                        vi.video_id,
                        vi.title,
                        vi.media,
                        vi.favorite_count,
                        vi.comment_count,
                        vi.published_at,
                        vi.ver
                   FROM video AS vi FORCE INDEX (author)
                  WHERE vi.slot = in_slot
                    AND vi.author_id = in_user_id
                    AND vi.state = 'live'
                    AND vi.video_id < v_below
                  ORDER BY vi.video_id DESC
                  LIMIT in_limit) AS v
        ON v.slot = IF(u.state = 'live', u.slot, NULL)
       AND v.author_id = u.user_id
     WHERE f.slot = in_slot
       AND f.answer = 'ok'
       AND f.epoch >= in_epoch
       AND h.owner_id IS NULL
     ORDER BY v.video_id DESC;

    IF FOUND_ROWS() = 0 THEN
        CALL _op_refusals(JSON_ARRAY(JSON_OBJECT('slot', in_slot, 'epoch', in_epoch,
                                                 'owner', in_user_id)));
    END IF;
END$$

DELIMITER ;
