-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _favorite_there_lock: lock the videos of likes of which this shard makes both halves, with their
-- authors' counters, and check them.
--
-- For the operations that are ok and whose target is here (op.prev, _op_fences). A like that the
-- video refuses ends with notfound; an unlike does not. After the user rows; fills op_there,
-- op_video and op_inbound.
--
-- Touches : SELECT video, inbound (by slot and id, FOR UPDATE), liker (by slot, video_id, user_id);
--           SELECT, UPDATE op; DELETE, INSERT op_video, op_inbound, op_there (the session's own)
-- Errors  : none
-- Replays : nothing stays

DROP PROCEDURE IF EXISTS _favorite_there_lock;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _favorite_there_lock ()
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: lock the targets of likes'
BEGIN
    DECLARE v_refused TINYINT;

    DELETE FROM op_video;

    INSERT INTO op_video (slot, video_id, author_id, title, media, state, favorite_count,
                          comment_count, published_at, ver, comment_ver, comment_last)
    SELECT v.slot,
           v.video_id,
           v.author_id,
           v.title,
           v.media,
           v.state,
           v.favorite_count,
           v.comment_count,
           v.published_at,
           v.ver,
           v.comment_ver,
           v.comment_last
      FROM (SELECT DISTINCT
                   o.id AS slot,
                   o.target
              FROM op AS o
             WHERE o.code = 'ok'
               AND o.prev > 0
             ORDER BY slot,
                      o.target
             LIMIT 256) AS w
     STRAIGHT_JOIN video AS v FORCE INDEX (PRIMARY)
        ON v.slot = w.slot
       AND v.video_id = w.target
       FOR UPDATE;

    CALL _op_author_lock();

    INSERT INTO op_there (n, code, slot, epoch, owner, user_id, actor, state, was, ver, at)
    SELECT o.n,
           CASE WHEN i.user_id IS NULL
                THEN 'notfound'
                WHEN o.ver > COALESCE(e.ver, 0)
                THEN 'ok'
                ELSE 'same'
           END AS code,
           o.id,
           o.prev,
           o.target,
           COALESCE(v.author_id, 0),
           o.owner,
           o.state,
           COALESCE(e.state, 0),
           o.ver,
           o.at
      FROM op AS o
      LEFT JOIN op_video AS v
        ON v.slot = o.id
       AND v.video_id = o.target
       AND v.state = 'live'
      LEFT JOIN op_inbound AS i
        ON i.slot = v.slot
       AND i.user_id = v.author_id
       AND i.state <> 'erased'
      LEFT JOIN liker AS e FORCE INDEX (PRIMARY)
        ON e.slot = i.slot
       AND e.video_id = o.target
       AND e.user_id = o.owner
     WHERE o.code = 'ok'
       AND o.prev > 0;

    SELECT MAX(t.code = 'notfound')
      INTO v_refused
      FROM op_there AS t;

    IF v_refused THEN
        UPDATE op AS o
         STRAIGHT_JOIN op_there AS t
            ON t.n = o.n
           SET o.code = 'notfound'
         WHERE t.code = 'notfound'
           AND o.state = 1;
    END IF;
END$$

DELIMITER ;
