-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _purge_remove: remove the rows that _purge_find marked, where this shard serves their slots.
--
-- in_kind    table, as for _purge_find
-- in_before  the same as for _purge_find: a row that was written meanwhile stays
--
-- Takes the share locks of the fences, in the order of slots, as _op_fence does. No owner is
-- locked: no counter changes, a missing edge means the same as a tombstone, and the next version of
-- a first half comes from user.edge_ver.
--
-- Touches : SELECT slot_fence (by slot, share lock); SELECT, UPDATE purge_row; DELETE the
--           table (by key); UPDATE purge_pass (its row); journal
-- Errors  : none
-- Replays : nothing is left to remove

DROP PROCEDURE IF EXISTS _purge_remove;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _purge_remove (
    IN in_kind   VARCHAR(16),
    IN in_before BIGINT
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: remove what was found'
BEGIN
    DECLARE v_count INT;

    SELECT COUNT(*)
      INTO v_count
      FROM (SELECT DISTINCT
                   p.slot
              FROM purge_row AS p
             WHERE p.old = 1
             ORDER BY p.slot
             LIMIT 1000) AS w
     STRAIGHT_JOIN slot_fence AS f FORCE INDEX (PRIMARY)
        ON f.slot = w.slot
      LOCK IN SHARE MODE;

    UPDATE purge_row AS p
      LEFT JOIN slot_fence AS f FORCE INDEX (PRIMARY)
        ON f.slot = p.slot
       SET p.old    = COALESCE(f.answer = 'ok', 0),
           p.moving = COALESCE(f.state = 'migrating' OR f.journal = 1, 0)
     WHERE p.old = 1;

    CALL _purge_log(in_kind);

    CASE in_kind
        WHEN 'follow' THEN
            DELETE t
              FROM purge_row AS p
             STRAIGHT_JOIN follow AS t FORCE INDEX (PRIMARY)
                ON t.slot = p.slot
               AND t.user_id = p.k1
               AND t.followed_id = p.k2
             WHERE p.old = 1
               AND t.state = 0
               AND t.at < in_before;
        WHEN 'follower' THEN
            DELETE t
              FROM purge_row AS p
             STRAIGHT_JOIN follower AS t FORCE INDEX (PRIMARY)
                ON t.slot = p.slot
               AND t.user_id = p.k1
               AND t.follower_id = p.k2
             WHERE p.old = 1
               AND t.state = 0
               AND t.at < in_before;
        WHEN 'favorite' THEN
            DELETE t
              FROM purge_row AS p
             STRAIGHT_JOIN favorite AS t FORCE INDEX (PRIMARY)
                ON t.slot = p.slot
               AND t.user_id = p.k1
               AND t.video_id = p.k2
             WHERE p.old = 1
               AND t.state = 0
               AND t.at < in_before;
        WHEN 'liker' THEN
            DELETE t
              FROM purge_row AS p
             STRAIGHT_JOIN liker AS t FORCE INDEX (PRIMARY)
                ON t.slot = p.slot
               AND t.video_id = p.k1
               AND t.user_id = p.k2
             WHERE p.old = 1
               AND t.state = 0
               AND t.at < in_before;
        WHEN 'commented' THEN
            DELETE t
              FROM purge_row AS p
             STRAIGHT_JOIN commented AS t FORCE INDEX (PRIMARY)
                ON t.slot = p.slot
               AND t.user_id = p.k1
               AND t.video_id = p.k2
               AND t.comment_id = p.k3
             WHERE p.old = 1
               AND t.state = 0
               AND t.at < in_before;
        WHEN 'session' THEN
            DELETE t
              FROM purge_row AS p
             STRAIGHT_JOIN session AS t FORCE INDEX (PRIMARY)
                ON t.slot = p.slot
               AND t.user_id = p.k1
               AND t.session = p.ks
             WHERE p.old = 1
               AND t.expires_at < in_before;
        WHEN 'idem' THEN
            DELETE t
              FROM purge_row AS p
             STRAIGHT_JOIN idem AS t FORCE INDEX (PRIMARY)
                ON t.slot = p.slot
               AND t.op = p.ks
             WHERE p.old = 1
               AND t.created_at < in_before;
    END CASE;

    SET v_count = ROW_COUNT();

    UPDATE purge_pass AS p
       SET p.removed       = p.removed + v_count,
           p.removed_total = p.removed_total + v_count
     WHERE p.kind = in_kind;
END$$

DELIMITER ;
