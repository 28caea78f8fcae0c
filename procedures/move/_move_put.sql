-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _move_put: put rows, as _move_pick answers them, into one table.
--
-- in_slot  slot that they get
-- in_tbl   the table
-- in_rows  JSON array of them; what is behind the last column is not looked at
--
-- A row that is in the way, by its own key or by another unique one, is older and goes: it
-- has been journaled, or is still to be copied.
-- Written by scripts/move-tables.
--
-- Touches : REPLACE the table (by key)
-- Errors  : 1339 (case not found) there is no such table
-- Replays : the same rows

DROP PROCEDURE IF EXISTS _move_put;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _move_put (
    IN in_slot INT UNSIGNED,
    IN in_tbl  VARCHAR(16),
    IN in_rows LONGTEXT
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: put rows into a slot'
BEGIN
    CASE in_tbl
        WHEN 'account' THEN
            REPLACE INTO account (
                slot
                , name
                , user_id
                , op
                , created_at
            )
            SELECT in_slot
                   , UNHEX(j.name)
                   , j.user_id
                   , UNHEX(j.op)
                   , j.created_at
              FROM JSON_TABLE(in_rows, '$[*]' COLUMNS (
                       name VARCHAR(256) PATH '$[0]',
                       user_id BIGINT UNSIGNED PATH '$[1]',
                       op VARCHAR(32) PATH '$[2]',
                       created_at BIGINT PATH '$[3]'
                   )) AS j;
        WHEN 'owner_home' THEN
            REPLACE INTO owner_home (
                slot
                , owner_id
                , own_slot
                , author_id
                , op
            )
            SELECT in_slot
                   , j.owner_id
                   , j.own_slot
                   , j.author_id
                   , UNHEX(j.op)
              FROM JSON_TABLE(in_rows, '$[*]' COLUMNS (
                       owner_id BIGINT UNSIGNED PATH '$[0]',
                       own_slot INT UNSIGNED PATH '$[1]',
                       author_id BIGINT UNSIGNED PATH '$[2]',
                       op VARCHAR(32) PATH '$[3]'
                   )) AS j;
        WHEN 'user' THEN
            REPLACE INTO user (
                slot
                , user_id
                , name
                , password_hash
                , password_changed_at
                , avatar
                , background_image
                , signature
                , state
                , follow_count
                , work_count
                , favorite_count
                , ver
                , edge_ver
                , mail_ver
                , message_last
                , created_at
                , op
            )
            SELECT in_slot
                   , j.user_id
                   , j.name
                   , j.password_hash
                   , j.password_changed_at
                   , j.avatar
                   , j.background_image
                   , j.signature
                   , j.state
                   , j.follow_count
                   , j.work_count
                   , j.favorite_count
                   , j.ver
                   , j.edge_ver
                   , j.mail_ver
                   , j.message_last
                   , j.created_at
                   , UNHEX(j.op)
              FROM JSON_TABLE(in_rows, '$[*]' COLUMNS (
                       user_id BIGINT UNSIGNED PATH '$[0]',
                       name VARCHAR(32) PATH '$[1]',
                       password_hash VARCHAR(255) PATH '$[2]',
                       password_changed_at BIGINT PATH '$[3]',
                       avatar VARCHAR(64) PATH '$[4]',
                       background_image VARCHAR(64) PATH '$[5]',
                       signature VARCHAR(128) PATH '$[6]',
                       state VARCHAR(32) PATH '$[7]',
                       follow_count BIGINT PATH '$[8]',
                       work_count BIGINT PATH '$[9]',
                       favorite_count BIGINT PATH '$[10]',
                       ver BIGINT UNSIGNED PATH '$[11]',
                       edge_ver BIGINT UNSIGNED PATH '$[12]',
                       mail_ver BIGINT UNSIGNED PATH '$[13]',
                       message_last BIGINT PATH '$[14]',
                       created_at BIGINT PATH '$[15]',
                       op VARCHAR(32) PATH '$[16]'
                   )) AS j;
        WHEN 'inbound' THEN
            REPLACE INTO inbound (
                slot
                , user_id
                , state
                , follower_count
                , total_favorited
                , ver
                , follower_ver
                , mail_ver
            )
            SELECT in_slot
                   , j.user_id
                   , j.state
                   , j.follower_count
                   , j.total_favorited
                   , j.ver
                   , j.follower_ver
                   , j.mail_ver
              FROM JSON_TABLE(in_rows, '$[*]' COLUMNS (
                       user_id BIGINT UNSIGNED PATH '$[0]',
                       state VARCHAR(32) PATH '$[1]',
                       follower_count BIGINT PATH '$[2]',
                       total_favorited BIGINT PATH '$[3]',
                       ver BIGINT UNSIGNED PATH '$[4]',
                       follower_ver BIGINT UNSIGNED PATH '$[5]',
                       mail_ver BIGINT UNSIGNED PATH '$[6]'
                   )) AS j;
        WHEN 'session' THEN
            REPLACE INTO session (
                slot
                , user_id
                , session
                , created_at
                , seen_at
                , expires_at
            )
            SELECT in_slot
                   , j.user_id
                   , UNHEX(j.session)
                   , j.created_at
                   , j.seen_at
                   , j.expires_at
              FROM JSON_TABLE(in_rows, '$[*]' COLUMNS (
                       user_id BIGINT UNSIGNED PATH '$[0]',
                       session VARCHAR(32) PATH '$[1]',
                       created_at BIGINT PATH '$[2]',
                       seen_at BIGINT PATH '$[3]',
                       expires_at BIGINT PATH '$[4]'
                   )) AS j;
        WHEN 'video' THEN
            REPLACE INTO video (
                slot
                , video_id
                , author_id
                , title
                , media
                , sha256
                , size_bytes
                , duration_ms
                , width
                , height
                , state
                , published_at
                , favorite_count
                , comment_count
                , ver
                , comment_ver
                , comment_last
                , op
                , deleted_at
            )
            SELECT in_slot
                   , j.video_id
                   , j.author_id
                   , j.title
                   , j.media
                   , UNHEX(j.sha256)
                   , j.size_bytes
                   , j.duration_ms
                   , j.width
                   , j.height
                   , j.state
                   , j.published_at
                   , j.favorite_count
                   , j.comment_count
                   , j.ver
                   , j.comment_ver
                   , j.comment_last
                   , UNHEX(j.op)
                   , j.deleted_at
              FROM JSON_TABLE(in_rows, '$[*]' COLUMNS (
                       video_id BIGINT UNSIGNED PATH '$[0]',
                       author_id BIGINT UNSIGNED PATH '$[1]',
                       title VARCHAR(128) PATH '$[2]',
                       media VARCHAR(64) PATH '$[3]',
                       sha256 VARCHAR(64) PATH '$[4]',
                       size_bytes BIGINT PATH '$[5]',
                       duration_ms INT UNSIGNED PATH '$[6]',
                       width INT UNSIGNED PATH '$[7]',
                       height INT UNSIGNED PATH '$[8]',
                       state VARCHAR(32) PATH '$[9]',
                       published_at BIGINT PATH '$[10]',
                       favorite_count BIGINT PATH '$[11]',
                       comment_count BIGINT PATH '$[12]',
                       ver BIGINT UNSIGNED PATH '$[13]',
                       comment_ver BIGINT UNSIGNED PATH '$[14]',
                       comment_last BIGINT PATH '$[15]',
                       op VARCHAR(32) PATH '$[16]',
                       deleted_at BIGINT PATH '$[17]'
                   )) AS j;
        WHEN 'job' THEN
            REPLACE INTO job (
                slot
                , owner_id
                , kind
                , target_id
                , payload
                , due_at
                , attempts
                , claim
                , claimed_until
                , last_error
                , parked
            )
            SELECT in_slot
                   , j.owner_id
                   , j.kind
                   , j.target_id
                   , j.payload
                   , j.due_at
                   , j.attempts
                   , UNHEX(j.claim)
                   , j.claimed_until
                   , j.last_error
                   , j.parked
              FROM JSON_TABLE(in_rows, '$[*]' COLUMNS (
                       owner_id BIGINT UNSIGNED PATH '$[0]',
                       kind VARCHAR(16) PATH '$[1]',
                       target_id BIGINT UNSIGNED PATH '$[2]',
                       payload VARCHAR(255) PATH '$[3]',
                       due_at BIGINT PATH '$[4]',
                       attempts INT UNSIGNED PATH '$[5]',
                       claim VARCHAR(32) PATH '$[6]',
                       claimed_until BIGINT PATH '$[7]',
                       last_error VARCHAR(200) PATH '$[8]',
                       parked TINYINT UNSIGNED PATH '$[9]'
                   )) AS j;
        WHEN 'follow' THEN
            REPLACE INTO follow (
                slot
                , user_id
                , followed_id
                , state
                , ver
                , at
            )
            SELECT in_slot
                   , j.user_id
                   , j.followed_id
                   , j.state
                   , j.ver
                   , j.at
              FROM JSON_TABLE(in_rows, '$[*]' COLUMNS (
                       user_id BIGINT UNSIGNED PATH '$[0]',
                       followed_id BIGINT UNSIGNED PATH '$[1]',
                       state TINYINT UNSIGNED PATH '$[2]',
                       ver BIGINT UNSIGNED PATH '$[3]',
                       at BIGINT PATH '$[4]'
                   )) AS j;
        WHEN 'follower' THEN
            REPLACE INTO follower (
                slot
                , user_id
                , follower_id
                , state
                , ver
                , at
                , pos
            )
            SELECT in_slot
                   , j.user_id
                   , j.follower_id
                   , j.state
                   , j.ver
                   , j.at
                   , j.pos
              FROM JSON_TABLE(in_rows, '$[*]' COLUMNS (
                       user_id BIGINT UNSIGNED PATH '$[0]',
                       follower_id BIGINT UNSIGNED PATH '$[1]',
                       state TINYINT UNSIGNED PATH '$[2]',
                       ver BIGINT UNSIGNED PATH '$[3]',
                       at BIGINT PATH '$[4]',
                       pos BIGINT UNSIGNED PATH '$[5]'
                   )) AS j;
        WHEN 'favorite' THEN
            REPLACE INTO favorite (
                slot
                , user_id
                , video_id
                , state
                , ver
                , at
            )
            SELECT in_slot
                   , j.user_id
                   , j.video_id
                   , j.state
                   , j.ver
                   , j.at
              FROM JSON_TABLE(in_rows, '$[*]' COLUMNS (
                       user_id BIGINT UNSIGNED PATH '$[0]',
                       video_id BIGINT UNSIGNED PATH '$[1]',
                       state TINYINT UNSIGNED PATH '$[2]',
                       ver BIGINT UNSIGNED PATH '$[3]',
                       at BIGINT PATH '$[4]'
                   )) AS j;
        WHEN 'liker' THEN
            REPLACE INTO liker (
                slot
                , video_id
                , user_id
                , state
                , ver
                , at
            )
            SELECT in_slot
                   , j.video_id
                   , j.user_id
                   , j.state
                   , j.ver
                   , j.at
              FROM JSON_TABLE(in_rows, '$[*]' COLUMNS (
                       video_id BIGINT UNSIGNED PATH '$[0]',
                       user_id BIGINT UNSIGNED PATH '$[1]',
                       state TINYINT UNSIGNED PATH '$[2]',
                       ver BIGINT UNSIGNED PATH '$[3]',
                       at BIGINT PATH '$[4]'
                   )) AS j;
        WHEN 'comment' THEN
            REPLACE INTO comment (
                slot
                , video_id
                , comment_id
                , author_id
                , text
                , state
                , ver
                , created_at
                , op
            )
            SELECT in_slot
                   , j.video_id
                   , j.comment_id
                   , j.author_id
                   , j.text
                   , j.state
                   , j.ver
                   , j.created_at
                   , UNHEX(j.op)
              FROM JSON_TABLE(in_rows, '$[*]' COLUMNS (
                       video_id BIGINT UNSIGNED PATH '$[0]',
                       comment_id BIGINT UNSIGNED PATH '$[1]',
                       author_id BIGINT UNSIGNED PATH '$[2]',
                       text VARCHAR(1000) PATH '$[3]',
                       state VARCHAR(32) PATH '$[4]',
                       ver BIGINT UNSIGNED PATH '$[5]',
                       created_at BIGINT PATH '$[6]',
                       op VARCHAR(32) PATH '$[7]'
                   )) AS j;
        WHEN 'commented' THEN
            REPLACE INTO commented (
                slot
                , user_id
                , video_id
                , comment_id
                , state
                , ver
                , at
            )
            SELECT in_slot
                   , j.user_id
                   , j.video_id
                   , j.comment_id
                   , j.state
                   , j.ver
                   , j.at
              FROM JSON_TABLE(in_rows, '$[*]' COLUMNS (
                       user_id BIGINT UNSIGNED PATH '$[0]',
                       video_id BIGINT UNSIGNED PATH '$[1]',
                       comment_id BIGINT UNSIGNED PATH '$[2]',
                       state TINYINT UNSIGNED PATH '$[3]',
                       ver BIGINT UNSIGNED PATH '$[4]',
                       at BIGINT PATH '$[5]'
                   )) AS j;
        WHEN 'chat' THEN
            REPLACE INTO chat (
                slot
                , user_id
                , peer_id
                , sent_seq
                , recv_seq
                , last_at
                , last_text
                , last_sent
            )
            SELECT in_slot
                   , j.user_id
                   , j.peer_id
                   , j.sent_seq
                   , j.recv_seq
                   , j.last_at
                   , j.last_text
                   , j.last_sent
              FROM JSON_TABLE(in_rows, '$[*]' COLUMNS (
                       user_id BIGINT UNSIGNED PATH '$[0]',
                       peer_id BIGINT UNSIGNED PATH '$[1]',
                       sent_seq BIGINT UNSIGNED PATH '$[2]',
                       recv_seq BIGINT UNSIGNED PATH '$[3]',
                       last_at BIGINT PATH '$[4]',
                       last_text VARCHAR(1000) PATH '$[5]',
                       last_sent TINYINT UNSIGNED PATH '$[6]'
                   )) AS j;
        WHEN 'message' THEN
            REPLACE INTO message (
                slot
                , user_id
                , peer_id
                , at
                , message_id
                , sent
                , seq
                , text
                , state
                , op
            )
            SELECT in_slot
                   , j.user_id
                   , j.peer_id
                   , j.at
                   , j.message_id
                   , j.sent
                   , j.seq
                   , j.text
                   , j.state
                   , UNHEX(j.op)
              FROM JSON_TABLE(in_rows, '$[*]' COLUMNS (
                       user_id BIGINT UNSIGNED PATH '$[0]',
                       peer_id BIGINT UNSIGNED PATH '$[1]',
                       at BIGINT PATH '$[2]',
                       message_id BIGINT UNSIGNED PATH '$[3]',
                       sent TINYINT UNSIGNED PATH '$[4]',
                       seq BIGINT UNSIGNED PATH '$[5]',
                       text VARCHAR(1000) PATH '$[6]',
                       state TINYINT UNSIGNED PATH '$[7]',
                       op VARCHAR(32) PATH '$[8]'
                   )) AS j;
        WHEN 'outbox' THEN
            REPLACE INTO outbox (
                slot
                , actor_id
                , kind
                , target_id
                , seq
                , ver
                , at
                , due_at
                , attempts
                , parked
                , head
            )
            SELECT in_slot
                   , j.actor_id
                   , j.kind
                   , j.target_id
                   , j.seq
                   , j.ver
                   , j.at
                   , j.due_at
                   , j.attempts
                   , j.parked
                   , j.head
              FROM JSON_TABLE(in_rows, '$[*]' COLUMNS (
                       actor_id BIGINT UNSIGNED PATH '$[0]',
                       kind VARCHAR(16) PATH '$[1]',
                       target_id BIGINT UNSIGNED PATH '$[2]',
                       seq BIGINT UNSIGNED PATH '$[3]',
                       ver BIGINT UNSIGNED PATH '$[4]',
                       at BIGINT PATH '$[5]',
                       due_at BIGINT PATH '$[6]',
                       attempts INT UNSIGNED PATH '$[7]',
                       parked TINYINT UNSIGNED PATH '$[8]',
                       head TINYINT UNSIGNED PATH '$[9]'
                   )) AS j;
        WHEN 'idem' THEN
            REPLACE INTO idem (
                slot
                , op
                , body
                , created_at
                , uses
            )
            SELECT in_slot
                   , UNHEX(j.op)
                   , UNHEX(j.body)
                   , j.created_at
                   , j.uses
              FROM JSON_TABLE(in_rows, '$[*]' COLUMNS (
                       op VARCHAR(32) PATH '$[0]',
                       body VARCHAR(64) PATH '$[1]',
                       created_at BIGINT PATH '$[2]',
                       uses INT UNSIGNED PATH '$[3]'
                   )) AS j;
    END CASE;
END$$

DELIMITER ;
