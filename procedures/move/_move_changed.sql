-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _move_changed: answer what the rows of one table that move_key names are now.
--
-- in_slot    the slot
-- in_tbl     the table
--
-- Written by scripts/move-tables.
--
-- Answer  : tbl, key_text (JSON array as in move_key), row_text (as _move_pick makes it; NULL:
--           there is no such row)
-- Touches : SELECT move_key, the table (by key)
-- Errors  : 1339 (case not found) there is no such table
-- Replays : reads only

DROP PROCEDURE IF EXISTS _move_changed;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _move_changed (
    IN in_slot INT UNSIGNED,
    IN in_tbl  VARCHAR(16)
)
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v1: rows of a slot that changed'
BEGIN
    CASE in_tbl
        WHEN 'account' THEN
            SELECT in_tbl AS tbl,
                   JSON_ARRAY(k.k1, k.k2, k.k3, HEX(k.ks)) AS key_text,
                   IF(t.slot IS NULL,
                      NULL,
                      JSON_ARRAY(HEX(t.name),
                                 t.user_id,
                                 HEX(t.op),
                                 t.created_at)) AS row_text
              FROM move_key AS k
              LEFT JOIN account AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.name = k.ks
             ORDER BY k.n;
        WHEN 'owner_home' THEN
            SELECT in_tbl AS tbl,
                   JSON_ARRAY(k.k1, k.k2, k.k3, HEX(k.ks)) AS key_text,
                   IF(t.slot IS NULL,
                      NULL,
                      JSON_ARRAY(t.owner_id,
                                 t.own_slot,
                                 t.author_id,
                                 HEX(t.op))) AS row_text
              FROM move_key AS k
              LEFT JOIN owner_home AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.owner_id = k.k1
             ORDER BY k.n;
        WHEN 'user' THEN
            SELECT in_tbl AS tbl,
                   JSON_ARRAY(k.k1, k.k2, k.k3, HEX(k.ks)) AS key_text,
                   IF(t.slot IS NULL,
                      NULL,
                      JSON_ARRAY(t.user_id,
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
                                 HEX(t.op))) AS row_text
              FROM move_key AS k
              LEFT JOIN user AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.user_id = k.k1
             ORDER BY k.n;
        WHEN 'inbound' THEN
            SELECT in_tbl AS tbl,
                   JSON_ARRAY(k.k1, k.k2, k.k3, HEX(k.ks)) AS key_text,
                   IF(t.slot IS NULL,
                      NULL,
                      JSON_ARRAY(t.user_id,
                                 t.state,
                                 t.follower_count,
                                 t.total_favorited,
                                 t.ver,
                                 t.follower_ver,
                                 t.mail_ver)) AS row_text
              FROM move_key AS k
              LEFT JOIN inbound AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.user_id = k.k1
             ORDER BY k.n;
        WHEN 'session' THEN
            SELECT in_tbl AS tbl,
                   JSON_ARRAY(k.k1, k.k2, k.k3, HEX(k.ks)) AS key_text,
                   IF(t.slot IS NULL,
                      NULL,
                      JSON_ARRAY(t.user_id,
                                 HEX(t.session),
                                 t.created_at,
                                 t.seen_at,
                                 t.expires_at)) AS row_text
              FROM move_key AS k
              LEFT JOIN session AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.user_id = k.k1
               AND t.session = k.ks
             ORDER BY k.n;
        WHEN 'video' THEN
            SELECT in_tbl AS tbl,
                   JSON_ARRAY(k.k1, k.k2, k.k3, HEX(k.ks)) AS key_text,
                   IF(t.slot IS NULL,
                      NULL,
                      JSON_ARRAY(t.video_id,
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
                                 t.deleted_at)) AS row_text
              FROM move_key AS k
              LEFT JOIN video AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.video_id = k.k1
             ORDER BY k.n;
        WHEN 'job' THEN
            SELECT in_tbl AS tbl,
                   JSON_ARRAY(k.k1, k.k2, k.k3, HEX(k.ks)) AS key_text,
                   IF(t.slot IS NULL,
                      NULL,
                      JSON_ARRAY(t.owner_id,
                                 t.kind,
                                 t.target_id,
                                 t.payload,
                                 t.due_at,
                                 t.attempts,
                                 HEX(t.claim),
                                 t.claimed_until,
                                 t.last_error,
                                 t.parked)) AS row_text
              FROM move_key AS k
              LEFT JOIN job AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.owner_id = k.k1
               AND t.kind = CONVERT(k.ks USING ascii) COLLATE ascii_bin
               AND t.target_id = k.k2
             ORDER BY k.n;
        WHEN 'follow' THEN
            SELECT in_tbl AS tbl,
                   JSON_ARRAY(k.k1, k.k2, k.k3, HEX(k.ks)) AS key_text,
                   IF(t.slot IS NULL,
                      NULL,
                      JSON_ARRAY(t.user_id,
                                 t.followed_id,
                                 t.state,
                                 t.ver,
                                 t.at)) AS row_text
              FROM move_key AS k
              LEFT JOIN follow AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.user_id = k.k1
               AND t.followed_id = k.k2
             ORDER BY k.n;
        WHEN 'follower' THEN
            SELECT in_tbl AS tbl,
                   JSON_ARRAY(k.k1, k.k2, k.k3, HEX(k.ks)) AS key_text,
                   IF(t.slot IS NULL,
                      NULL,
                      JSON_ARRAY(t.user_id,
                                 t.follower_id,
                                 t.state,
                                 t.ver,
                                 t.at,
                                 t.pos)) AS row_text
              FROM move_key AS k
              LEFT JOIN follower AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.user_id = k.k1
               AND t.follower_id = k.k2
             ORDER BY k.n;
        WHEN 'favorite' THEN
            SELECT in_tbl AS tbl,
                   JSON_ARRAY(k.k1, k.k2, k.k3, HEX(k.ks)) AS key_text,
                   IF(t.slot IS NULL,
                      NULL,
                      JSON_ARRAY(t.user_id,
                                 t.video_id,
                                 t.state,
                                 t.ver,
                                 t.at)) AS row_text
              FROM move_key AS k
              LEFT JOIN favorite AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.user_id = k.k1
               AND t.video_id = k.k2
             ORDER BY k.n;
        WHEN 'liker' THEN
            SELECT in_tbl AS tbl,
                   JSON_ARRAY(k.k1, k.k2, k.k3, HEX(k.ks)) AS key_text,
                   IF(t.slot IS NULL,
                      NULL,
                      JSON_ARRAY(t.video_id,
                                 t.user_id,
                                 t.state,
                                 t.ver,
                                 t.at)) AS row_text
              FROM move_key AS k
              LEFT JOIN liker AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.video_id = k.k1
               AND t.user_id = k.k2
             ORDER BY k.n;
        WHEN 'comment' THEN
            SELECT in_tbl AS tbl,
                   JSON_ARRAY(k.k1, k.k2, k.k3, HEX(k.ks)) AS key_text,
                   IF(t.slot IS NULL,
                      NULL,
                      JSON_ARRAY(t.video_id,
                                 t.comment_id,
                                 t.author_id,
                                 t.text,
                                 t.state,
                                 t.ver,
                                 t.created_at,
                                 HEX(t.op))) AS row_text
              FROM move_key AS k
              LEFT JOIN comment AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.video_id = k.k1
               AND t.comment_id = k.k2
             ORDER BY k.n;
        WHEN 'commented' THEN
            SELECT in_tbl AS tbl,
                   JSON_ARRAY(k.k1, k.k2, k.k3, HEX(k.ks)) AS key_text,
                   IF(t.slot IS NULL,
                      NULL,
                      JSON_ARRAY(t.user_id,
                                 t.video_id,
                                 t.comment_id,
                                 t.state,
                                 t.ver,
                                 t.at)) AS row_text
              FROM move_key AS k
              LEFT JOIN commented AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.user_id = k.k1
               AND t.video_id = k.k2
               AND t.comment_id = k.k3
             ORDER BY k.n;
        WHEN 'chat' THEN
            SELECT in_tbl AS tbl,
                   JSON_ARRAY(k.k1, k.k2, k.k3, HEX(k.ks)) AS key_text,
                   IF(t.slot IS NULL,
                      NULL,
                      JSON_ARRAY(t.user_id,
                                 t.peer_id,
                                 t.sent_seq,
                                 t.recv_seq,
                                 t.last_at,
                                 t.last_text,
                                 t.last_sent)) AS row_text
              FROM move_key AS k
              LEFT JOIN chat AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.user_id = k.k1
               AND t.peer_id = k.k2
             ORDER BY k.n;
        WHEN 'message' THEN
            SELECT in_tbl AS tbl,
                   JSON_ARRAY(k.k1, k.k2, k.k3, HEX(k.ks)) AS key_text,
                   IF(t.slot IS NULL,
                      NULL,
                      JSON_ARRAY(t.user_id,
                                 t.peer_id,
                                 t.at,
                                 t.message_id,
                                 t.sent,
                                 t.seq,
                                 t.text,
                                 t.state,
                                 HEX(t.op))) AS row_text
              FROM move_key AS k
              LEFT JOIN message AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.user_id = k.k1
               AND t.peer_id = k.k2
               AND t.at = k.k3
             ORDER BY k.n;
        WHEN 'outbox' THEN
            SELECT in_tbl AS tbl,
                   JSON_ARRAY(k.k1, k.k2, k.k3, HEX(k.ks)) AS key_text,
                   IF(t.slot IS NULL,
                      NULL,
                      JSON_ARRAY(t.actor_id,
                                 t.kind,
                                 t.target_id,
                                 t.seq,
                                 t.ver,
                                 t.at,
                                 t.due_at,
                                 t.attempts,
                                 t.parked,
                                 t.head)) AS row_text
              FROM move_key AS k
              LEFT JOIN outbox AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.actor_id = k.k1
               AND t.kind = CONVERT(k.ks USING ascii) COLLATE ascii_bin
               AND t.target_id = k.k2
               AND t.seq = k.k3
             ORDER BY k.n;
        WHEN 'idem' THEN
            SELECT in_tbl AS tbl,
                   JSON_ARRAY(k.k1, k.k2, k.k3, HEX(k.ks)) AS key_text,
                   IF(t.slot IS NULL,
                      NULL,
                      JSON_ARRAY(HEX(t.op),
                                 HEX(t.body),
                                 t.created_at,
                                 t.uses)) AS row_text
              FROM move_key AS k
              LEFT JOIN idem AS t FORCE INDEX (PRIMARY)
                ON t.slot = in_slot
               AND t.op = k.ks
             ORDER BY k.n;
    END CASE;
END$$

DELIMITER ;
