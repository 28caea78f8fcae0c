-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _move_owned: how many rows of one table leave a slot with a user.
--
-- in_slot    the slot
-- in_tbl     the table
-- in_owner   the user
-- out_count  rows
--
-- Written by scripts/move-tables.
--
-- Touches : SELECT the table (by slot), video (by slot and author)
-- Errors  : 1339 (case not found) there is no such table
-- Replays : reads only

DROP PROCEDURE IF EXISTS _move_owned;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _move_owned (
    IN  in_slot   INT UNSIGNED,
    IN  in_tbl    VARCHAR(16),
    IN  in_owner  BIGINT UNSIGNED,
    OUT out_count BIGINT
)
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v1: rows of a user in a slot'
BEGIN
    CASE in_tbl
        WHEN 'account' THEN
            SELECT COUNT(*)
              INTO out_count
              FROM account AS t
             WHERE t.slot = in_slot
               AND FALSE;
        WHEN 'owner_home' THEN
            SELECT COUNT(*)
              INTO out_count
              FROM owner_home AS t
             WHERE t.slot = in_slot
               AND FALSE;
        WHEN 'user' THEN
            SELECT COUNT(*)
              INTO out_count
              FROM user AS t
             WHERE t.slot = in_slot
               AND t.user_id = in_owner;
        WHEN 'inbound' THEN
            SELECT COUNT(*)
              INTO out_count
              FROM inbound AS t
             WHERE t.slot = in_slot
               AND t.user_id = in_owner;
        WHEN 'session' THEN
            SELECT COUNT(*)
              INTO out_count
              FROM session AS t
             WHERE t.slot = in_slot
               AND t.user_id = in_owner;
        WHEN 'video' THEN
            SELECT COUNT(*)
              INTO out_count
              FROM video AS t
             WHERE t.slot = in_slot
               AND t.author_id = in_owner;
        WHEN 'job' THEN
            SELECT COUNT(*)
              INTO out_count
              FROM job AS t
             WHERE t.slot = in_slot
               AND t.owner_id = in_owner;
        WHEN 'follow' THEN
            SELECT COUNT(*)
              INTO out_count
              FROM follow AS t
             WHERE t.slot = in_slot
               AND t.user_id = in_owner;
        WHEN 'follower' THEN
            SELECT COUNT(*)
              INTO out_count
              FROM follower AS t
             WHERE t.slot = in_slot
               AND t.user_id = in_owner;
        WHEN 'favorite' THEN
            SELECT COUNT(*)
              INTO out_count
              FROM favorite AS t
             WHERE t.slot = in_slot
               AND t.user_id = in_owner;
        WHEN 'liker' THEN
            SELECT COUNT(*)
              INTO out_count
              FROM liker AS t
             WHERE t.slot = in_slot
               AND t.video_id IN (SELECT v.video_id
                                   FROM video AS v FORCE INDEX (author)
                                  WHERE v.slot = in_slot
                                    AND v.author_id = in_owner);
        WHEN 'comment' THEN
            SELECT COUNT(*)
              INTO out_count
              FROM comment AS t
             WHERE t.slot = in_slot
               AND t.video_id IN (SELECT v.video_id
                                   FROM video AS v FORCE INDEX (author)
                                  WHERE v.slot = in_slot
                                    AND v.author_id = in_owner);
        WHEN 'commented' THEN
            SELECT COUNT(*)
              INTO out_count
              FROM commented AS t
             WHERE t.slot = in_slot
               AND t.user_id = in_owner;
        WHEN 'chat' THEN
            SELECT COUNT(*)
              INTO out_count
              FROM chat AS t
             WHERE t.slot = in_slot
               AND t.user_id = in_owner;
        WHEN 'message' THEN
            SELECT COUNT(*)
              INTO out_count
              FROM message AS t
             WHERE t.slot = in_slot
               AND t.user_id = in_owner;
        WHEN 'outbox' THEN
            SELECT COUNT(*)
              INTO out_count
              FROM outbox AS t
             WHERE t.slot = in_slot
               AND (t.actor_id = in_owner
                    OR t.actor_id IN (SELECT v.video_id
                                   FROM video AS v FORCE INDEX (author)
                                  WHERE v.slot = in_slot
                                    AND v.author_id = in_owner));
        WHEN 'idem' THEN
            SELECT COUNT(*)
              INTO out_count
              FROM idem AS t
             WHERE t.slot = in_slot
               AND FALSE;
    END CASE;
END$$

DELIMITER ;
