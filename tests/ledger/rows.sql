-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- What `ledger check` reads of a shard; lib.js writes each row as a line, with tabs between the columns.

SELECT 'user', user_id, follow_count, follower_count, favorite_count, total_favorited, work_count,
       (edge_ver & ((1 << 33) - 1)) + (follower_ver & ((1 << 33) - 1)) AS edge_ver
  FROM user JOIN inbound USING (slot, user_id);
SELECT 'video', video_id, author_id, state = 'live', favorite_count, comment_count,
       ver & ((1 << 33) - 1)
  FROM video;
SELECT 'follow', user_id, followed_id, state, ver FROM follow;
SELECT 'follower', user_id, follower_id, state, ver FROM follower;
SELECT 'favorite', user_id, video_id, state, ver FROM favorite;
SELECT 'liker', video_id, user_id, state, ver FROM liker;
SELECT 'comment', video_id, comment_id, author_id, state = 'live', ver, text FROM comment;
SELECT 'commented', video_id, comment_id, user_id, state, ver, '-' FROM commented;
SELECT 'message', user_id, peer_id, sent, seq, message_id, at, state, text FROM message;
SELECT 'outbox', actor_id, kind, target_id, seq, ver, parked FROM outbox;
