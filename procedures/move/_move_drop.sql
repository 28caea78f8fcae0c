-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _move_drop: remove the rows of one table that move_key names.
--
-- in_slot    the slot
-- in_tbl     the table
--
-- Written by scripts/move-tables.
--
-- Touches : SELECT move_key; DELETE the table (by key)
-- Errors  : 1339 (case not found) there is no such table
-- Replays : removes nothing more

DROP PROCEDURE IF EXISTS _move_drop;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _move_drop (
    IN in_slot INT UNSIGNED,
    IN in_tbl  VARCHAR(16)
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: remove rows of a slot'
BEGIN
    CASE in_tbl
        WHEN 'account' THEN
            DELETE t
              FROM move_key AS k
             STRAIGHT_JOIN account AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.name = k.ks;
        WHEN 'owner_home' THEN
            DELETE t
              FROM move_key AS k
             STRAIGHT_JOIN owner_home AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.owner_id = k.k1;
        WHEN 'user' THEN
            DELETE t
              FROM move_key AS k
             STRAIGHT_JOIN user AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.user_id = k.k1;
        WHEN 'inbound' THEN
            DELETE t
              FROM move_key AS k
             STRAIGHT_JOIN inbound AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.user_id = k.k1;
        WHEN 'session' THEN
            DELETE t
              FROM move_key AS k
             STRAIGHT_JOIN session AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.user_id = k.k1
               AND t.session = k.ks;
        WHEN 'video' THEN
            DELETE t
              FROM move_key AS k
             STRAIGHT_JOIN video AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.video_id = k.k1;
        WHEN 'job' THEN
            DELETE t
              FROM move_key AS k
             STRAIGHT_JOIN job AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.owner_id = k.k1
               AND t.kind = CONVERT(k.ks USING ascii) COLLATE ascii_bin
               AND t.target_id = k.k2;
        WHEN 'follow' THEN
            DELETE t
              FROM move_key AS k
             STRAIGHT_JOIN follow AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.user_id = k.k1
               AND t.followed_id = k.k2;
        WHEN 'follower' THEN
            DELETE t
              FROM move_key AS k
             STRAIGHT_JOIN follower AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.user_id = k.k1
               AND t.follower_id = k.k2;
        WHEN 'favorite' THEN
            DELETE t
              FROM move_key AS k
             STRAIGHT_JOIN favorite AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.user_id = k.k1
               AND t.video_id = k.k2;
        WHEN 'liker' THEN
            DELETE t
              FROM move_key AS k
             STRAIGHT_JOIN liker AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.video_id = k.k1
               AND t.user_id = k.k2;
        WHEN 'comment' THEN
            DELETE t
              FROM move_key AS k
             STRAIGHT_JOIN comment AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.video_id = k.k1
               AND t.comment_id = k.k2;
        WHEN 'commented' THEN
            DELETE t
              FROM move_key AS k
             STRAIGHT_JOIN commented AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.user_id = k.k1
               AND t.video_id = k.k2
               AND t.comment_id = k.k3;
        WHEN 'chat' THEN
            DELETE t
              FROM move_key AS k
             STRAIGHT_JOIN chat AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.user_id = k.k1
               AND t.peer_id = k.k2;
        WHEN 'message' THEN
            DELETE t
              FROM move_key AS k
             STRAIGHT_JOIN message AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.user_id = k.k1
               AND t.peer_id = k.k2
               AND t.at = k.k3;
        WHEN 'outbox' THEN
            DELETE t
              FROM move_key AS k
             STRAIGHT_JOIN outbox AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.actor_id = k.k1
               AND t.kind = CONVERT(k.ks USING ascii) COLLATE ascii_bin
               AND t.target_id = k.k2
               AND t.seq = k.k3;
        WHEN 'idem' THEN
            DELETE t
              FROM move_key AS k
             STRAIGHT_JOIN idem AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.op = k.ks;
    END CASE;
END$$

DELIMITER ;
