-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _move_same: are the rows of one table what was written?
--
-- in_slot  the slot
-- in_tbl   the table
-- in_rows  JSON array of rows as _move_pick makes them, but each with the CRC32 of its text
--          behind the last column
-- out_bad  rows that are not there, or read otherwise
--
-- Written by scripts/move-tables.
--
-- Touches : SELECT the table (by key)
-- Errors  : 1339 (case not found) there is no such table
-- Replays : reads only

DROP PROCEDURE IF EXISTS _move_same;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _move_same (
    IN  in_slot INT UNSIGNED,
    IN  in_tbl  VARCHAR(16),
    IN  in_rows LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
    OUT out_bad INT
)
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v1: are rows what was written'
BEGIN
    CASE in_tbl
        WHEN 'account' THEN
            SELECT COUNT(*)
              INTO out_bad
              FROM JSON_TABLE(in_rows, '$[*]' COLUMNS (
                       name VARCHAR(256) PATH '$[0]',
                       row_sum INT UNSIGNED PATH '$[4]'
                   )) AS j
              LEFT JOIN account AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.name = UNHEX(j.name)
             WHERE NOT CRC32(JSON_ARRAY(HEX(t.name),
                                        t.user_id,
                                        HEX(t.op),
                                        t.created_at)) <=> j.row_sum;
        WHEN 'owner_home' THEN
            SELECT COUNT(*)
              INTO out_bad
              FROM JSON_TABLE(in_rows, '$[*]' COLUMNS (
                       owner_id BIGINT UNSIGNED PATH '$[0]',
                       row_sum INT UNSIGNED PATH '$[4]'
                   )) AS j
              LEFT JOIN owner_home AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.owner_id = j.owner_id
             WHERE NOT CRC32(JSON_ARRAY(t.owner_id,
                                        t.own_slot,
                                        t.author_id,
                                        HEX(t.op))) <=> j.row_sum;
        WHEN 'user' THEN
            SELECT COUNT(*)
              INTO out_bad
              FROM JSON_TABLE(in_rows, '$[*]' COLUMNS (
                       user_id BIGINT UNSIGNED PATH '$[0]',
                       row_sum INT UNSIGNED PATH '$[17]'
                   )) AS j
              LEFT JOIN user AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.user_id = j.user_id
             WHERE NOT CRC32(JSON_ARRAY(t.user_id,
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
                                        HEX(t.op))) <=> j.row_sum;
        WHEN 'inbound' THEN
            SELECT COUNT(*)
              INTO out_bad
              FROM JSON_TABLE(in_rows, '$[*]' COLUMNS (
                       user_id BIGINT UNSIGNED PATH '$[0]',
                       row_sum INT UNSIGNED PATH '$[7]'
                   )) AS j
              LEFT JOIN inbound AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.user_id = j.user_id
             WHERE NOT CRC32(JSON_ARRAY(t.user_id,
                                        t.state,
                                        t.follower_count,
                                        t.total_favorited,
                                        t.ver,
                                        t.follower_ver,
                                        t.mail_ver)) <=> j.row_sum;
        WHEN 'session' THEN
            SELECT COUNT(*)
              INTO out_bad
              FROM JSON_TABLE(in_rows, '$[*]' COLUMNS (
                       user_id BIGINT UNSIGNED PATH '$[0]',
                       session VARCHAR(32) PATH '$[1]',
                       row_sum INT UNSIGNED PATH '$[5]'
                   )) AS j
              LEFT JOIN session AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.user_id = j.user_id
               AND t.session = UNHEX(j.session)
             WHERE NOT CRC32(JSON_ARRAY(t.user_id,
                                        HEX(t.session),
                                        t.created_at,
                                        t.seen_at,
                                        t.expires_at)) <=> j.row_sum;
        WHEN 'video' THEN
            SELECT COUNT(*)
              INTO out_bad
              FROM JSON_TABLE(in_rows, '$[*]' COLUMNS (
                       video_id BIGINT UNSIGNED PATH '$[0]',
                       row_sum INT UNSIGNED PATH '$[18]'
                   )) AS j
              LEFT JOIN video AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.video_id = j.video_id
             WHERE NOT CRC32(JSON_ARRAY(t.video_id,
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
                                        t.deleted_at)) <=> j.row_sum;
        WHEN 'job' THEN
            SELECT COUNT(*)
              INTO out_bad
              FROM JSON_TABLE(in_rows, '$[*]' COLUMNS (
                       owner_id BIGINT UNSIGNED PATH '$[0]',
                       kind VARCHAR(16) PATH '$[1]',
                       target_id BIGINT UNSIGNED PATH '$[2]',
                       row_sum INT UNSIGNED PATH '$[10]'
                   )) AS j
              LEFT JOIN job AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.owner_id = j.owner_id
               AND t.kind = CONVERT(j.kind USING ascii) COLLATE ascii_bin
               AND t.target_id = j.target_id
             WHERE NOT CRC32(JSON_ARRAY(t.owner_id,
                                        t.kind,
                                        t.target_id,
                                        t.payload,
                                        t.due_at,
                                        t.attempts,
                                        HEX(t.claim),
                                        t.claimed_until,
                                        t.last_error,
                                        t.parked)) <=> j.row_sum;
        WHEN 'follow' THEN
            SELECT COUNT(*)
              INTO out_bad
              FROM JSON_TABLE(in_rows, '$[*]' COLUMNS (
                       user_id BIGINT UNSIGNED PATH '$[0]',
                       followed_id BIGINT UNSIGNED PATH '$[1]',
                       row_sum INT UNSIGNED PATH '$[5]'
                   )) AS j
              LEFT JOIN follow AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.user_id = j.user_id
               AND t.followed_id = j.followed_id
             WHERE NOT CRC32(JSON_ARRAY(t.user_id,
                                        t.followed_id,
                                        t.state,
                                        t.ver,
                                        t.at)) <=> j.row_sum;
        WHEN 'follower' THEN
            SELECT COUNT(*)
              INTO out_bad
              FROM JSON_TABLE(in_rows, '$[*]' COLUMNS (
                       user_id BIGINT UNSIGNED PATH '$[0]',
                       follower_id BIGINT UNSIGNED PATH '$[1]',
                       row_sum INT UNSIGNED PATH '$[6]'
                   )) AS j
              LEFT JOIN follower AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.user_id = j.user_id
               AND t.follower_id = j.follower_id
             WHERE NOT CRC32(JSON_ARRAY(t.user_id,
                                        t.follower_id,
                                        t.state,
                                        t.ver,
                                        t.at,
                                        t.pos)) <=> j.row_sum;
        WHEN 'favorite' THEN
            SELECT COUNT(*)
              INTO out_bad
              FROM JSON_TABLE(in_rows, '$[*]' COLUMNS (
                       user_id BIGINT UNSIGNED PATH '$[0]',
                       video_id BIGINT UNSIGNED PATH '$[1]',
                       row_sum INT UNSIGNED PATH '$[5]'
                   )) AS j
              LEFT JOIN favorite AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.user_id = j.user_id
               AND t.video_id = j.video_id
             WHERE NOT CRC32(JSON_ARRAY(t.user_id,
                                        t.video_id,
                                        t.state,
                                        t.ver,
                                        t.at)) <=> j.row_sum;
        WHEN 'liker' THEN
            SELECT COUNT(*)
              INTO out_bad
              FROM JSON_TABLE(in_rows, '$[*]' COLUMNS (
                       video_id BIGINT UNSIGNED PATH '$[0]',
                       user_id BIGINT UNSIGNED PATH '$[1]',
                       row_sum INT UNSIGNED PATH '$[5]'
                   )) AS j
              LEFT JOIN liker AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.video_id = j.video_id
               AND t.user_id = j.user_id
             WHERE NOT CRC32(JSON_ARRAY(t.video_id,
                                        t.user_id,
                                        t.state,
                                        t.ver,
                                        t.at)) <=> j.row_sum;
        WHEN 'comment' THEN
            SELECT COUNT(*)
              INTO out_bad
              FROM JSON_TABLE(in_rows, '$[*]' COLUMNS (
                       video_id BIGINT UNSIGNED PATH '$[0]',
                       comment_id BIGINT UNSIGNED PATH '$[1]',
                       row_sum INT UNSIGNED PATH '$[8]'
                   )) AS j
              LEFT JOIN comment AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.video_id = j.video_id
               AND t.comment_id = j.comment_id
             WHERE NOT CRC32(JSON_ARRAY(t.video_id,
                                        t.comment_id,
                                        t.author_id,
                                        t.text,
                                        t.state,
                                        t.ver,
                                        t.created_at,
                                        HEX(t.op))) <=> j.row_sum;
        WHEN 'commented' THEN
            SELECT COUNT(*)
              INTO out_bad
              FROM JSON_TABLE(in_rows, '$[*]' COLUMNS (
                       user_id BIGINT UNSIGNED PATH '$[0]',
                       video_id BIGINT UNSIGNED PATH '$[1]',
                       comment_id BIGINT UNSIGNED PATH '$[2]',
                       row_sum INT UNSIGNED PATH '$[6]'
                   )) AS j
              LEFT JOIN commented AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.user_id = j.user_id
               AND t.video_id = j.video_id
               AND t.comment_id = j.comment_id
             WHERE NOT CRC32(JSON_ARRAY(t.user_id,
                                        t.video_id,
                                        t.comment_id,
                                        t.state,
                                        t.ver,
                                        t.at)) <=> j.row_sum;
        WHEN 'chat' THEN
            SELECT COUNT(*)
              INTO out_bad
              FROM JSON_TABLE(in_rows, '$[*]' COLUMNS (
                       user_id BIGINT UNSIGNED PATH '$[0]',
                       peer_id BIGINT UNSIGNED PATH '$[1]',
                       row_sum INT UNSIGNED PATH '$[7]'
                   )) AS j
              LEFT JOIN chat AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.user_id = j.user_id
               AND t.peer_id = j.peer_id
             WHERE NOT CRC32(JSON_ARRAY(t.user_id,
                                        t.peer_id,
                                        t.sent_seq,
                                        t.recv_seq,
                                        t.last_at,
                                        t.last_text,
                                        t.last_sent)) <=> j.row_sum;
        WHEN 'message' THEN
            SELECT COUNT(*)
              INTO out_bad
              FROM JSON_TABLE(in_rows, '$[*]' COLUMNS (
                       user_id BIGINT UNSIGNED PATH '$[0]',
                       peer_id BIGINT UNSIGNED PATH '$[1]',
                       at BIGINT PATH '$[2]',
                       row_sum INT UNSIGNED PATH '$[9]'
                   )) AS j
              LEFT JOIN message AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.user_id = j.user_id
               AND t.peer_id = j.peer_id
               AND t.at = j.at
             WHERE NOT CRC32(JSON_ARRAY(t.user_id,
                                        t.peer_id,
                                        t.at,
                                        t.message_id,
                                        t.sent,
                                        t.seq,
                                        t.text,
                                        t.state,
                                        HEX(t.op))) <=> j.row_sum;
        WHEN 'outbox' THEN
            SELECT COUNT(*)
              INTO out_bad
              FROM JSON_TABLE(in_rows, '$[*]' COLUMNS (
                       actor_id BIGINT UNSIGNED PATH '$[0]',
                       kind VARCHAR(16) PATH '$[1]',
                       target_id BIGINT UNSIGNED PATH '$[2]',
                       seq BIGINT UNSIGNED PATH '$[3]',
                       row_sum INT UNSIGNED PATH '$[10]'
                   )) AS j
              LEFT JOIN outbox AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.actor_id = j.actor_id
               AND t.kind = CONVERT(j.kind USING ascii) COLLATE ascii_bin
               AND t.target_id = j.target_id
               AND t.seq = j.seq
             WHERE NOT CRC32(JSON_ARRAY(t.actor_id,
                                        t.kind,
                                        t.target_id,
                                        t.seq,
                                        t.ver,
                                        t.at,
                                        t.due_at,
                                        t.attempts,
                                        t.parked,
                                        t.head)) <=> j.row_sum;
        WHEN 'idem' THEN
            SELECT COUNT(*)
              INTO out_bad
              FROM JSON_TABLE(in_rows, '$[*]' COLUMNS (
                       op VARCHAR(32) PATH '$[0]',
                       row_sum INT UNSIGNED PATH '$[4]'
                   )) AS j
              LEFT JOIN idem AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.op = UNHEX(j.op)
             WHERE NOT CRC32(JSON_ARRAY(HEX(t.op),
                                        HEX(t.body),
                                        t.created_at,
                                        t.uses)) <=> j.row_sum;
    END CASE;
END$$

DELIMITER ;
