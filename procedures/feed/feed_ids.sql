-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- feed_ids: the newest live videos of the slots that this shard serves: feed_list without the
-- cards, for callers that ask many shards and show few of the answers.
--
-- in_before  only those published before this time, ms since the Unix epoch; 0: no bound
-- in_limit   how many videos, 1 to 65536 (no more can have the same time, since times are
--            unique within a slot)
--
-- First result: the newest, in_limit at most. When there are as many, others of the time of
-- the last one may be missing. Second result: the generation of the fences, which says (see
-- slot_map) for which slots that is complete. Both are of one snapshot, so that a slot that
-- changes its owner meanwhile is covered by one shard, or by none and asked for again.
--
-- Answer  : video_id, published_at
-- Answer 2: gen
-- Touches : SELECT video (by state and published_at, backwards), slot_fence (by slot),
--           owner_home, user (by slot and user_id), slot_gen, in one snapshot
-- Errors  : 45400 an argument is NULL or out of range
-- Replays : reads only

DROP PROCEDURE IF EXISTS feed_ids;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE feed_ids (
    IN in_before BIGINT,
    IN in_limit  INT
)
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v1: the ids of the newest videos of this shard'
BEGIN
    DECLARE v_before BIGINT DEFAULT IF(in_before = 0, 9223372036854775807, in_before);

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    IF NOT COALESCE(in_before >= 0 AND in_limit BETWEEN 1 AND 65536, FALSE) THEN
        SIGNAL SQLSTATE '45400' SET MESSAGE_TEXT = 'feed_ids needs before and limit 1 to 65536';
    END IF;

    SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;
    START TRANSACTION WITH CONSISTENT SNAPSHOT;

    SELECT v.video_id,
           v.published_at
      FROM video AS v FORCE INDEX (feed)
     STRAIGHT_JOIN slot_fence AS f FORCE INDEX (PRIMARY)
        ON f.slot = v.slot
       AND f.answer = 'ok'
     STRAIGHT_JOIN user AS u FORCE INDEX (PRIMARY)
        ON u.slot = v.slot
       AND u.user_id = v.author_id
       AND u.state = 'live'
      LEFT JOIN owner_home AS h FORCE INDEX (PRIMARY)
        ON h.slot = IF(f.has_home = 1, v.slot, NULL)
       AND h.owner_id = v.author_id
     WHERE v.state = 'live'
       AND v.published_at < v_before
       AND h.owner_id IS NULL
     ORDER BY v.published_at DESC,
              v.video_id DESC
     LIMIT in_limit;

    SELECT CAST(COALESCE(MAX(g.gen), 0) AS UNSIGNED) AS gen
      FROM slot_gen AS g;

    COMMIT;
END$$

DELIMITER ;
