-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _move_find: the next keys of one table in a slot, into move_key.
--
-- in_slot   the slot
-- in_tbl    the table
-- in_owner  0; or a user: rows that leave with him only
-- in_after  key to begin behind, as in move_read; NULL: at the begin
-- in_upto   last key; NULL: none
-- in_limit  at most so many
--
-- Written by scripts/move-tables.
--
-- Touches : SELECT the table (by slot, in the order of its key); INSERT move_key
-- Errors  : 1339 (case not found) there is no such table
-- Replays : adds the same keys again

DROP PROCEDURE IF EXISTS _move_find;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _move_find (
    IN in_slot  INT UNSIGNED,
    IN in_tbl   VARCHAR(16),
    IN in_owner BIGINT UNSIGNED,
    IN in_after LONGTEXT,
    IN in_upto  LONGTEXT,
    IN in_limit INT
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: keys of a slot'
BEGIN
    DECLARE v_after TINYINT DEFAULT in_after IS NOT NULL;
    DECLARE v_upto  TINYINT DEFAULT in_upto IS NOT NULL;
    DECLARE v_a1    BIGINT UNSIGNED DEFAULT JSON_VALUE(in_after, '$[0]');
    DECLARE v_a2    BIGINT UNSIGNED DEFAULT JSON_VALUE(in_after, '$[1]');
    DECLARE v_a3    BIGINT UNSIGNED DEFAULT JSON_VALUE(in_after, '$[2]');
    DECLARE v_as    VARBINARY(128) DEFAULT UNHEX(JSON_VALUE(in_after, '$[3]'));
    DECLARE v_at    VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin
                    DEFAULT CONVERT(v_as USING ascii);
    DECLARE v_u1    BIGINT UNSIGNED DEFAULT JSON_VALUE(in_upto, '$[0]');
    DECLARE v_u2    BIGINT UNSIGNED DEFAULT JSON_VALUE(in_upto, '$[1]');
    DECLARE v_u3    BIGINT UNSIGNED DEFAULT JSON_VALUE(in_upto, '$[2]');
    DECLARE v_us    VARBINARY(128) DEFAULT UNHEX(JSON_VALUE(in_upto, '$[3]'));
    DECLARE v_ut    VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin
                    DEFAULT CONVERT(v_us USING ascii);

    CASE in_tbl
        WHEN 'account' THEN
            INSERT INTO move_key (ks)
            SELECT t.name
              FROM account AS t FORCE INDEX (PRIMARY)
             WHERE t.slot = in_slot
               AND (v_after = 0
                    OR t.name > v_as)
               AND (v_upto = 0
                    OR t.name <= v_us)
               AND in_owner = 0
             ORDER BY t.name
             LIMIT in_limit;
        WHEN 'owner_home' THEN
            INSERT INTO move_key (k1)
            SELECT t.owner_id
              FROM owner_home AS t FORCE INDEX (PRIMARY)
             WHERE t.slot = in_slot
               AND (v_after = 0
                    OR t.owner_id > v_a1)
               AND (v_upto = 0
                    OR t.owner_id <= v_u1)
               AND in_owner = 0
             ORDER BY t.owner_id
             LIMIT in_limit;
        WHEN 'user' THEN
            INSERT INTO move_key (k1)
            SELECT t.user_id
              FROM user AS t FORCE INDEX (PRIMARY)
             WHERE t.slot = in_slot
               AND (v_after = 0
                    OR t.user_id > v_a1)
               AND (v_upto = 0
                    OR t.user_id <= v_u1)
               AND (in_owner = 0 OR t.user_id = in_owner)
             ORDER BY t.user_id
             LIMIT in_limit;
        WHEN 'inbound' THEN
            INSERT INTO move_key (k1)
            SELECT t.user_id
              FROM inbound AS t FORCE INDEX (PRIMARY)
             WHERE t.slot = in_slot
               AND (v_after = 0
                    OR t.user_id > v_a1)
               AND (v_upto = 0
                    OR t.user_id <= v_u1)
               AND (in_owner = 0 OR t.user_id = in_owner)
             ORDER BY t.user_id
             LIMIT in_limit;
        WHEN 'session' THEN
            INSERT INTO move_key (k1, ks)
            SELECT t.user_id,
                   t.session
              FROM session AS t FORCE INDEX (PRIMARY)
             WHERE t.slot = in_slot
               AND (v_after = 0
                    OR t.user_id > v_a1
                    OR (t.user_id = v_a1 AND t.session > v_as))
               AND (v_upto = 0
                    OR t.user_id < v_u1
                    OR (t.user_id = v_u1 AND t.session <= v_us))
               AND (in_owner = 0 OR t.user_id = in_owner)
             ORDER BY t.user_id,
                      t.session
             LIMIT in_limit;
        WHEN 'video' THEN
            INSERT INTO move_key (k1)
            SELECT t.video_id
              FROM video AS t FORCE INDEX (PRIMARY)
             WHERE t.slot = in_slot
               AND (v_after = 0
                    OR t.video_id > v_a1)
               AND (v_upto = 0
                    OR t.video_id <= v_u1)
               AND (in_owner = 0 OR t.author_id = in_owner)
             ORDER BY t.video_id
             LIMIT in_limit;
        WHEN 'job' THEN
            INSERT INTO move_key (k1, ks, k2)
            SELECT t.owner_id,
                   t.kind,
                   t.target_id
              FROM job AS t FORCE INDEX (PRIMARY)
             WHERE t.slot = in_slot
               AND (v_after = 0
                    OR t.owner_id > v_a1
                    OR (t.owner_id = v_a1 AND t.kind > v_at)
                    OR (t.owner_id = v_a1 AND t.kind = v_at AND t.target_id > v_a2))
               AND (v_upto = 0
                    OR t.owner_id < v_u1
                    OR (t.owner_id = v_u1 AND t.kind < v_ut)
                    OR (t.owner_id = v_u1 AND t.kind = v_ut AND t.target_id <= v_u2))
               AND (in_owner = 0 OR t.owner_id = in_owner)
             ORDER BY t.owner_id,
                      t.kind,
                      t.target_id
             LIMIT in_limit;
        WHEN 'follow' THEN
            INSERT INTO move_key (k1, k2)
            SELECT t.user_id,
                   t.followed_id
              FROM follow AS t FORCE INDEX (PRIMARY)
             WHERE t.slot = in_slot
               AND (v_after = 0
                    OR t.user_id > v_a1
                    OR (t.user_id = v_a1 AND t.followed_id > v_a2))
               AND (v_upto = 0
                    OR t.user_id < v_u1
                    OR (t.user_id = v_u1 AND t.followed_id <= v_u2))
               AND (in_owner = 0 OR t.user_id = in_owner)
             ORDER BY t.user_id,
                      t.followed_id
             LIMIT in_limit;
        WHEN 'follower' THEN
            INSERT INTO move_key (k1, k2)
            SELECT t.user_id,
                   t.follower_id
              FROM follower AS t FORCE INDEX (PRIMARY)
             WHERE t.slot = in_slot
               AND (v_after = 0
                    OR t.user_id > v_a1
                    OR (t.user_id = v_a1 AND t.follower_id > v_a2))
               AND (v_upto = 0
                    OR t.user_id < v_u1
                    OR (t.user_id = v_u1 AND t.follower_id <= v_u2))
               AND (in_owner = 0 OR t.user_id = in_owner)
             ORDER BY t.user_id,
                      t.follower_id
             LIMIT in_limit;
        WHEN 'favorite' THEN
            INSERT INTO move_key (k1, k2)
            SELECT t.user_id,
                   t.video_id
              FROM favorite AS t FORCE INDEX (PRIMARY)
             WHERE t.slot = in_slot
               AND (v_after = 0
                    OR t.user_id > v_a1
                    OR (t.user_id = v_a1 AND t.video_id > v_a2))
               AND (v_upto = 0
                    OR t.user_id < v_u1
                    OR (t.user_id = v_u1 AND t.video_id <= v_u2))
               AND (in_owner = 0 OR t.user_id = in_owner)
             ORDER BY t.user_id,
                      t.video_id
             LIMIT in_limit;
        WHEN 'liker' THEN
            INSERT INTO move_key (k1, k2)
            SELECT t.video_id,
                   t.user_id
              FROM liker AS t FORCE INDEX (PRIMARY)
             WHERE t.slot = in_slot
               AND (v_after = 0
                    OR t.video_id > v_a1
                    OR (t.video_id = v_a1 AND t.user_id > v_a2))
               AND (v_upto = 0
                    OR t.video_id < v_u1
                    OR (t.video_id = v_u1 AND t.user_id <= v_u2))
               AND (in_owner = 0
                    OR t.video_id IN (SELECT v.video_id
                                          FROM video AS v
                                         WHERE v.slot = in_slot
                                           AND v.author_id = in_owner))
             ORDER BY t.video_id,
                      t.user_id
             LIMIT in_limit;
        WHEN 'comment' THEN
            INSERT INTO move_key (k1, k2)
            SELECT t.video_id,
                   t.comment_id
              FROM comment AS t FORCE INDEX (PRIMARY)
             WHERE t.slot = in_slot
               AND (v_after = 0
                    OR t.video_id > v_a1
                    OR (t.video_id = v_a1 AND t.comment_id > v_a2))
               AND (v_upto = 0
                    OR t.video_id < v_u1
                    OR (t.video_id = v_u1 AND t.comment_id <= v_u2))
               AND (in_owner = 0
                    OR t.video_id IN (SELECT v.video_id
                                          FROM video AS v
                                         WHERE v.slot = in_slot
                                           AND v.author_id = in_owner))
             ORDER BY t.video_id,
                      t.comment_id
             LIMIT in_limit;
        WHEN 'commented' THEN
            INSERT INTO move_key (k1, k2, k3)
            SELECT t.user_id,
                   t.video_id,
                   t.comment_id
              FROM commented AS t FORCE INDEX (PRIMARY)
             WHERE t.slot = in_slot
               AND (v_after = 0
                    OR t.user_id > v_a1
                    OR (t.user_id = v_a1 AND t.video_id > v_a2)
                    OR (t.user_id = v_a1 AND t.video_id = v_a2 AND t.comment_id > v_a3))
               AND (v_upto = 0
                    OR t.user_id < v_u1
                    OR (t.user_id = v_u1 AND t.video_id < v_u2)
                    OR (t.user_id = v_u1 AND t.video_id = v_u2 AND t.comment_id <= v_u3))
               AND (in_owner = 0 OR t.user_id = in_owner)
             ORDER BY t.user_id,
                      t.video_id,
                      t.comment_id
             LIMIT in_limit;
        WHEN 'chat' THEN
            INSERT INTO move_key (k1, k2)
            SELECT t.user_id,
                   t.peer_id
              FROM chat AS t FORCE INDEX (PRIMARY)
             WHERE t.slot = in_slot
               AND (v_after = 0
                    OR t.user_id > v_a1
                    OR (t.user_id = v_a1 AND t.peer_id > v_a2))
               AND (v_upto = 0
                    OR t.user_id < v_u1
                    OR (t.user_id = v_u1 AND t.peer_id <= v_u2))
               AND (in_owner = 0 OR t.user_id = in_owner)
             ORDER BY t.user_id,
                      t.peer_id
             LIMIT in_limit;
        WHEN 'message' THEN
            INSERT INTO move_key (k1, k2, k3)
            SELECT t.user_id,
                   t.peer_id,
                   t.at
              FROM message AS t FORCE INDEX (PRIMARY)
             WHERE t.slot = in_slot
               AND (v_after = 0
                    OR t.user_id > v_a1
                    OR (t.user_id = v_a1 AND t.peer_id > v_a2)
                    OR (t.user_id = v_a1 AND t.peer_id = v_a2 AND t.at > v_a3))
               AND (v_upto = 0
                    OR t.user_id < v_u1
                    OR (t.user_id = v_u1 AND t.peer_id < v_u2)
                    OR (t.user_id = v_u1 AND t.peer_id = v_u2 AND t.at <= v_u3))
               AND (in_owner = 0 OR t.user_id = in_owner)
             ORDER BY t.user_id,
                      t.peer_id,
                      t.at
             LIMIT in_limit;
        WHEN 'outbox' THEN
            INSERT INTO move_key (k1, ks, k2, k3)
            SELECT t.actor_id,
                   t.kind,
                   t.target_id,
                   t.seq
              FROM outbox AS t FORCE INDEX (PRIMARY)
             WHERE t.slot = in_slot
               AND (v_after = 0
                    OR t.actor_id > v_a1
                    OR (t.actor_id = v_a1 AND t.kind > v_at)
                    OR (t.actor_id = v_a1 AND t.kind = v_at AND t.target_id > v_a2)
                    OR (t.actor_id = v_a1 AND t.kind = v_at
                        AND t.target_id = v_a2 AND t.seq > v_a3))
               AND (v_upto = 0
                    OR t.actor_id < v_u1
                    OR (t.actor_id = v_u1 AND t.kind < v_ut)
                    OR (t.actor_id = v_u1 AND t.kind = v_ut AND t.target_id < v_u2)
                    OR (t.actor_id = v_u1 AND t.kind = v_ut
                        AND t.target_id = v_u2 AND t.seq <= v_u3))
               AND (in_owner = 0
                    OR t.actor_id = in_owner
                    OR t.actor_id IN (SELECT v.video_id
                                          FROM video AS v
                                         WHERE v.slot = in_slot
                                           AND v.author_id = in_owner))
             ORDER BY t.actor_id,
                      t.kind,
                      t.target_id,
                      t.seq
             LIMIT in_limit;
        WHEN 'idem' THEN
            INSERT INTO move_key (ks)
            SELECT t.op
              FROM idem AS t FORCE INDEX (PRIMARY)
             WHERE t.slot = in_slot
               AND (v_after = 0
                    OR t.op > v_as)
               AND (v_upto = 0
                    OR t.op <= v_us)
               AND in_owner = 0
             ORDER BY t.op
             LIMIT in_limit;
    END CASE;
END$$

DELIMITER ;
