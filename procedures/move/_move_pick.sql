-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _move_pick: the rows of one table that move_key names, as JSON.
--
-- in_slot    the slot
-- in_tbl     the table
-- out_count  how many of the keys have a row
-- out_rows   the rows without their slot, each a JSON array of its columns in the order of
--            the table, the key first, bytes as hex; with commas between; NULL: none
--
-- The rows come in the order of move_key. The slot is not in them: an
-- owner that gets a slot of its own has the same rows there.
-- Written by scripts/move-tables.
--
-- Touches : SELECT move_key, the table (by key)
-- Errors  : 1339 (case not found) there is no such table
-- Replays : reads only

DROP PROCEDURE IF EXISTS _move_pick;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _move_pick (
    IN  in_slot   INT UNSIGNED,
    IN  in_tbl    VARCHAR(16),
    OUT out_count INT,
    OUT out_rows  LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
)
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v1: rows of a slot'
BEGIN
    CASE in_tbl
        WHEN 'account' THEN
            SELECT COUNT(*),
                   GROUP_CONCAT(JSON_ARRAY(HEX(t.name),
                                           t.user_id,
                                           HEX(t.op),
                                           t.created_at) ORDER BY k.n)
              INTO out_count,
                   out_rows
              FROM move_key AS k
             STRAIGHT_JOIN account AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.name = k.ks;
        WHEN 'owner_home' THEN
            SELECT COUNT(*),
                   GROUP_CONCAT(JSON_ARRAY(t.owner_id,
                                           t.own_slot,
                                           t.author_id,
                                           HEX(t.op)) ORDER BY k.n)
              INTO out_count,
                   out_rows
              FROM move_key AS k
             STRAIGHT_JOIN owner_home AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.owner_id = k.k1;
        WHEN 'user' THEN
            SELECT COUNT(*),
                   GROUP_CONCAT(JSON_ARRAY(t.user_id,
                                           t.name,
                                           t.password_hash,
                                           t.password_changed_at,
                                           t.avatar,
                                           t.background_image,
                                           t.signature,
                                           t.state,
                                           t.follow_count,
                                           t.work_count,
                                           t.favorite_count,
                                           t.ver,
                                           t.edge_ver,
                                           t.mail_ver,
                                           t.message_last,
                                           t.created_at,
                                           HEX(t.op)) ORDER BY k.n)
              INTO out_count,
                   out_rows
              FROM move_key AS k
             STRAIGHT_JOIN user AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.user_id = k.k1;
        WHEN 'inbound' THEN
            SELECT COUNT(*),
                   GROUP_CONCAT(JSON_ARRAY(t.user_id,
                                           t.state,
                                           t.follower_count,
                                           t.total_favorited,
                                           t.ver,
                                           t.follower_ver,
                                           t.mail_ver) ORDER BY k.n)
              INTO out_count,
                   out_rows
              FROM move_key AS k
             STRAIGHT_JOIN inbound AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.user_id = k.k1;
        WHEN 'session' THEN
            SELECT COUNT(*),
                   GROUP_CONCAT(JSON_ARRAY(t.user_id,
                                           HEX(t.session),
                                           t.created_at,
                                           t.seen_at,
                                           t.expires_at) ORDER BY k.n)
              INTO out_count,
                   out_rows
              FROM move_key AS k
             STRAIGHT_JOIN session AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.user_id = k.k1
               AND t.session = k.ks;
        WHEN 'video' THEN
            SELECT COUNT(*),
                   GROUP_CONCAT(JSON_ARRAY(t.video_id,
                                           t.author_id,
                                           t.title,
                                           t.media,
                                           HEX(t.sha256),
                                           t.size_bytes,
                                           t.duration_ms,
                                           t.width,
                                           t.height,
                                           t.state,
                                           t.published_at,
                                           t.favorite_count,
                                           t.comment_count,
                                           t.ver,
                                           t.comment_ver,
                                           t.comment_last,
                                           HEX(t.op),
                                           t.deleted_at) ORDER BY k.n)
              INTO out_count,
                   out_rows
              FROM move_key AS k
             STRAIGHT_JOIN video AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.video_id = k.k1;
        WHEN 'job' THEN
            SELECT COUNT(*),
                   GROUP_CONCAT(JSON_ARRAY(t.owner_id,
                                           t.kind,
                                           t.target_id,
                                           t.payload,
                                           t.due_at,
                                           t.attempts,
                                           HEX(t.claim),
                                           t.claimed_until,
                                           t.last_error,
                                           t.parked) ORDER BY k.n)
              INTO out_count,
                   out_rows
              FROM move_key AS k
             STRAIGHT_JOIN job AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.owner_id = k.k1
               AND t.kind = CONVERT(k.ks USING ascii) COLLATE ascii_bin
               AND t.target_id = k.k2;
        WHEN 'follow' THEN
            SELECT COUNT(*),
                   GROUP_CONCAT(JSON_ARRAY(t.user_id,
                                           t.followed_id,
                                           t.state,
                                           t.ver,
                                           t.at) ORDER BY k.n)
              INTO out_count,
                   out_rows
              FROM move_key AS k
             STRAIGHT_JOIN follow AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.user_id = k.k1
               AND t.followed_id = k.k2;
        WHEN 'follower' THEN
            SELECT COUNT(*),
                   GROUP_CONCAT(JSON_ARRAY(t.user_id,
                                           t.follower_id,
                                           t.state,
                                           t.ver,
                                           t.at,
                                           t.pos) ORDER BY k.n)
              INTO out_count,
                   out_rows
              FROM move_key AS k
             STRAIGHT_JOIN follower AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.user_id = k.k1
               AND t.follower_id = k.k2;
        WHEN 'favorite' THEN
            SELECT COUNT(*),
                   GROUP_CONCAT(JSON_ARRAY(t.user_id,
                                           t.video_id,
                                           t.state,
                                           t.ver,
                                           t.at) ORDER BY k.n)
              INTO out_count,
                   out_rows
              FROM move_key AS k
             STRAIGHT_JOIN favorite AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.user_id = k.k1
               AND t.video_id = k.k2;
        WHEN 'liker' THEN
            SELECT COUNT(*),
                   GROUP_CONCAT(JSON_ARRAY(t.video_id,
                                           t.user_id,
                                           t.state,
                                           t.ver,
                                           t.at) ORDER BY k.n)
              INTO out_count,
                   out_rows
              FROM move_key AS k
             STRAIGHT_JOIN liker AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.video_id = k.k1
               AND t.user_id = k.k2;
        WHEN 'comment' THEN
            SELECT COUNT(*),
                   GROUP_CONCAT(JSON_ARRAY(t.video_id,
                                           t.comment_id,
                                           t.author_id,
                                           t.text,
                                           t.state,
                                           t.ver,
                                           t.created_at,
                                           HEX(t.op)) ORDER BY k.n)
              INTO out_count,
                   out_rows
              FROM move_key AS k
             STRAIGHT_JOIN comment AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.video_id = k.k1
               AND t.comment_id = k.k2;
        WHEN 'commented' THEN
            SELECT COUNT(*),
                   GROUP_CONCAT(JSON_ARRAY(t.user_id,
                                           t.video_id,
                                           t.comment_id,
                                           t.state,
                                           t.ver,
                                           t.at) ORDER BY k.n)
              INTO out_count,
                   out_rows
              FROM move_key AS k
             STRAIGHT_JOIN commented AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.user_id = k.k1
               AND t.video_id = k.k2
               AND t.comment_id = k.k3;
        WHEN 'chat' THEN
            SELECT COUNT(*),
                   GROUP_CONCAT(JSON_ARRAY(t.user_id,
                                           t.peer_id,
                                           t.sent_seq,
                                           t.recv_seq,
                                           t.last_at,
                                           t.last_text,
                                           t.last_sent) ORDER BY k.n)
              INTO out_count,
                   out_rows
              FROM move_key AS k
             STRAIGHT_JOIN chat AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.user_id = k.k1
               AND t.peer_id = k.k2;
        WHEN 'message' THEN
            SELECT COUNT(*),
                   GROUP_CONCAT(JSON_ARRAY(t.user_id,
                                           t.peer_id,
                                           t.at,
                                           t.message_id,
                                           t.sent,
                                           t.seq,
                                           t.text,
                                           t.state,
                                           HEX(t.op)) ORDER BY k.n)
              INTO out_count,
                   out_rows
              FROM move_key AS k
             STRAIGHT_JOIN message AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.user_id = k.k1
               AND t.peer_id = k.k2
               AND t.at = k.k3;
        WHEN 'outbox' THEN
            SELECT COUNT(*),
                   GROUP_CONCAT(JSON_ARRAY(t.actor_id,
                                           t.kind,
                                           t.target_id,
                                           t.seq,
                                           t.ver,
                                           t.at,
                                           t.due_at,
                                           t.attempts,
                                           t.parked,
                                           t.head) ORDER BY k.n)
              INTO out_count,
                   out_rows
              FROM move_key AS k
             STRAIGHT_JOIN outbox AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.actor_id = k.k1
               AND t.kind = CONVERT(k.ks USING ascii) COLLATE ascii_bin
               AND t.target_id = k.k2
               AND t.seq = k.k3;
        WHEN 'idem' THEN
            SELECT COUNT(*),
                   GROUP_CONCAT(JSON_ARRAY(HEX(t.op),
                                           HEX(t.body),
                                           t.created_at,
                                           t.uses) ORDER BY k.n)
              INTO out_count,
                   out_rows
              FROM move_key AS k
             STRAIGHT_JOIN idem AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.op = k.ks;
    END CASE;
END$$

DELIMITER ;
