-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _video_delete: delete live videos whose rows are locked, after those of their authors.
--
-- For operations that are ok and of the kind video: op.owner is the video, op.user_id its
-- author. Takes the likes out of the author's total and leaves a job for the files.
--
-- Touches : SELECT, UPDATE user, video, inbound (by slot and id); INSERT job (by key); journal
-- Errors  : none
-- Replays : the caller passes live videos only

DROP PROCEDURE IF EXISTS _video_delete;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _video_delete ()
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: delete live videos'
BEGIN
    DECLARE v_now BIGINT DEFAULT _now_ms();

    UPDATE (SELECT o.slot,
                   o.user_id,
                   MAX(o.epoch) << 33 AS floor,
                   COUNT(*) AS videos,
                   SUM(v.favorite_count) AS likes
              FROM op AS o
             STRAIGHT_JOIN video AS v FORCE INDEX (PRIMARY)
                ON v.slot = o.slot
               AND v.video_id = o.owner
             WHERE o.code = 'ok'
               AND o.kind = 'video'
             GROUP BY o.slot,
                      o.user_id) AS d
     STRAIGHT_JOIN user AS u FORCE INDEX (PRIMARY)
        ON u.slot = d.slot
       AND u.user_id = d.user_id
     STRAIGHT_JOIN inbound AS i FORCE INDEX (PRIMARY)
        ON i.slot = d.slot
       AND i.user_id = d.user_id
       SET u.work_count      = u.work_count - d.videos,
           u.ver             = GREATEST(u.ver, d.floor) + 1,
           i.total_favorited = i.total_favorited - d.likes,
           i.ver             = GREATEST(i.ver, d.floor) + 1;

    INSERT INTO job (slot, owner_id, kind, target_id, payload, due_at)
    SELECT o.slot,
           o.user_id,
           'media_delete',
           o.owner,
           v.media,
           v_now
      FROM op AS o
     STRAIGHT_JOIN video AS v FORCE INDEX (PRIMARY)
        ON v.slot = o.slot
       AND v.video_id = o.owner
     WHERE o.code = 'ok'
       AND o.kind = 'video';

    UPDATE op AS o
     STRAIGHT_JOIN video AS v FORCE INDEX (PRIMARY)
        ON v.slot = o.slot
       AND v.video_id = o.owner
       SET v.state      = 'deleted',
           v.deleted_at = v_now,
           v.ver        = GREATEST(v.ver, o.epoch << 33) + 1
     WHERE o.code = 'ok'
       AND o.kind = 'video';

    INSERT INTO slot_log (slot, tbl, owner, k1, k2, ks)
    SELECT o.slot,
           t.tbl,
           o.user_id,
           IF(t.tbl = 'video', o.owner, o.user_id),
           IF(t.tbl = 'job', o.owner, NULL),
           IF(t.tbl = 'job', 'media_delete', NULL)
      FROM op AS o
      JOIN (SELECT 'video' AS tbl
             UNION ALL
            SELECT 'user'
             UNION ALL
            SELECT 'inbound'
             UNION ALL
            SELECT 'job') AS t
     WHERE o.code = 'ok'
       AND o.kind = 'video'
       AND o.moving = 1;
END$$

DELIMITER ;
