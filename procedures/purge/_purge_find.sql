-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _purge_find: read the next rows of one table, and mark those that can be removed.
--
-- in_kind         table: follow, follower, favorite, liker, commented, session or idem
-- in_slot         go on after the row with this key: slot,
-- in_k1..in_k3    numeric key columns after slot; 0 for those it does not have
-- in_ks           the key column that is no number; empty for those without
-- in_before       rows that were of no use before this can go, ms since the Unix epoch
-- in_limit        look at so many
--
-- A first half stays while the outbox has to deliver it, because it says what to deliver. Nothing
-- is locked: a tombstone of that age can no longer get an outbox row.
--
-- Touches : SELECT the table (in the order of its key), outbox (by key); CREATE, DELETE, INSERT
--           purge_row (the session's own, in memory)
-- Errors  : none
-- Replays : nothing stays

DROP PROCEDURE IF EXISTS _purge_find;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _purge_find (
    IN in_kind   VARCHAR(16),
    IN in_slot   INT UNSIGNED,
    IN in_k1     BIGINT UNSIGNED,
    IN in_k2     BIGINT UNSIGNED,
    IN in_k3     BIGINT UNSIGNED,
    IN in_ks     VARBINARY(16),
    IN in_before BIGINT,
    IN in_limit  INT
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: find the next rows that can go'
BEGIN
    CREATE TEMPORARY TABLE IF NOT EXISTS purge_row (
        n      INT UNSIGNED NOT NULL
            COMMENT 'in the order of the key, from 1',
        slot   INT UNSIGNED NOT NULL
            COMMENT 'key of the row',
        k1     BIGINT UNSIGNED NOT NULL,
        k2     BIGINT UNSIGNED NOT NULL,
        k3     BIGINT UNSIGNED NOT NULL,
        ks     VARBINARY(16) NOT NULL,
        old    TINYINT UNSIGNED NOT NULL
            COMMENT '1: it can go',
        moving TINYINT UNSIGNED NOT NULL DEFAULT 0
            COMMENT '1: its removal is to be journaled',
        PRIMARY KEY (n)
    )
        ENGINE = MEMORY;

    DELETE FROM purge_row;

    INSERT INTO purge_row (n, slot, k1, k2, k3, ks, old)
    SELECT ROW_NUMBER() OVER (ORDER BY r.slot, r.k1, r.k2, r.k3, r.ks),
           r.slot,
           r.k1,
           r.k2,
           r.k3,
           r.ks,
           r.old
      FROM ((SELECT t.slot,
                     t.user_id AS k1,
                     t.followed_id AS k2,
                     0 AS k3,
                     '' AS ks,
                     t.state = 0 AND t.at < in_before
                     AND NOT EXISTS (SELECT 1
                                    FROM outbox AS x
                                   WHERE x.slot = t.slot
                                     AND x.actor_id = t.user_id
                                     AND x.kind = 'follow'
                                     AND x.target_id = t.followed_id) AS old
                FROM follow AS t FORCE INDEX (PRIMARY)
               WHERE in_kind = 'follow'
                 AND ((t.slot = in_slot AND t.user_id = in_k1 AND t.followed_id > in_k2)
                      OR (t.slot = in_slot AND t.user_id > in_k1)
                      OR t.slot > in_slot)
               ORDER BY t.slot, t.user_id, t.followed_id
               LIMIT in_limit)
              UNION ALL
             (SELECT t.slot,
                     t.user_id AS k1,
                     t.follower_id AS k2,
                     0 AS k3,
                     '' AS ks,
                     t.state = 0 AND t.at < in_before AS old
                FROM follower AS t FORCE INDEX (PRIMARY)
               WHERE in_kind = 'follower'
                 AND ((t.slot = in_slot AND t.user_id = in_k1 AND t.follower_id > in_k2)
                      OR (t.slot = in_slot AND t.user_id > in_k1)
                      OR t.slot > in_slot)
               ORDER BY t.slot, t.user_id, t.follower_id
               LIMIT in_limit)
              UNION ALL
             (SELECT t.slot,
                     t.user_id AS k1,
                     t.video_id AS k2,
                     0 AS k3,
                     '' AS ks,
                     t.state = 0 AND t.at < in_before
                     AND NOT EXISTS (SELECT 1
                                    FROM outbox AS x
                                   WHERE x.slot = t.slot
                                     AND x.actor_id = t.user_id
                                     AND x.kind = 'favorite'
                                     AND x.target_id = t.video_id) AS old
                FROM favorite AS t FORCE INDEX (PRIMARY)
               WHERE in_kind = 'favorite'
                 AND ((t.slot = in_slot AND t.user_id = in_k1 AND t.video_id > in_k2)
                      OR (t.slot = in_slot AND t.user_id > in_k1)
                      OR t.slot > in_slot)
               ORDER BY t.slot, t.user_id, t.video_id
               LIMIT in_limit)
              UNION ALL
             (SELECT t.slot,
                     t.video_id AS k1,
                     t.user_id AS k2,
                     0 AS k3,
                     '' AS ks,
                     t.state = 0 AND t.at < in_before AS old
                FROM liker AS t FORCE INDEX (PRIMARY)
               WHERE in_kind = 'liker'
                 AND ((t.slot = in_slot AND t.video_id = in_k1 AND t.user_id > in_k2)
                      OR (t.slot = in_slot AND t.video_id > in_k1)
                      OR t.slot > in_slot)
               ORDER BY t.slot, t.video_id, t.user_id
               LIMIT in_limit)
              UNION ALL
             (SELECT t.slot,
                     t.user_id AS k1,
                     t.video_id AS k2,
                     t.comment_id AS k3,
                     '' AS ks,
                     t.state = 0 AND t.at < in_before AS old
                FROM commented AS t FORCE INDEX (PRIMARY)
               WHERE in_kind = 'commented'
                 AND ((t.slot = in_slot
                          AND t.user_id = in_k1
                          AND t.video_id = in_k2
                          AND t.comment_id > in_k3)
                      OR (t.slot = in_slot AND t.user_id = in_k1 AND t.video_id > in_k2)
                      OR (t.slot = in_slot AND t.user_id > in_k1)
                      OR t.slot > in_slot)
               ORDER BY t.slot, t.user_id, t.video_id, t.comment_id
               LIMIT in_limit)
              UNION ALL
             (SELECT t.slot,
                     t.user_id AS k1,
                     0 AS k2,
                     0 AS k3,
                     t.session AS ks,
                     t.expires_at < in_before AS old
                FROM session AS t FORCE INDEX (PRIMARY)
               WHERE in_kind = 'session'
                 AND ((t.slot = in_slot AND t.user_id = in_k1 AND t.session > in_ks)
                      OR (t.slot = in_slot AND t.user_id > in_k1)
                      OR t.slot > in_slot)
               ORDER BY t.slot, t.user_id, t.session
               LIMIT in_limit)
              UNION ALL
             (SELECT t.slot,
                     0 AS k1,
                     0 AS k2,
                     0 AS k3,
                     t.op AS ks,
                     t.created_at < in_before AS old
                FROM idem AS t FORCE INDEX (PRIMARY)
               WHERE in_kind = 'idem'
                 AND ((t.slot = in_slot AND t.op > in_ks)
                      OR t.slot > in_slot)
               ORDER BY t.slot, t.op
               LIMIT in_limit)) AS r;
END$$

DELIMITER ;
