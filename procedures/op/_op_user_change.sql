-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _op_user_change: count what a batch changed at its users, in their rows and their copies.
--
-- Of the operations that are ok: kind follow and favorite change the counter of their kind by
-- state - was, raise the version of the card by one and that of the lists by the highest place;
-- kind message raises the version of the mailbox.
--
-- Touches : SELECT op; UPDATE user (by slot and user_id), op_user (the session's own)
-- Errors  : none
-- Replays : counts again: once per batch

DROP PROCEDURE IF EXISTS _op_user_change;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _op_user_change ()
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: count what a batch changed at its users'
BEGIN
    DECLARE v_ops   INT;
    DECLARE v_users INT;

    SELECT COUNT(*),
           COUNT(DISTINCT o.slot, o.user_id)
      INTO v_ops,
           v_users
      FROM op AS o
     WHERE o.code = 'ok';

    -- A multi-table UPDATE changes a row once, which is enough if each user has one operation.
    IF v_users = v_ops THEN
        UPDATE op AS o
         STRAIGHT_JOIN op_user AS m
            ON m.slot = o.slot
           AND m.user_id = o.user_id
         STRAIGHT_JOIN user AS u FORCE INDEX (PRIMARY)
            ON u.slot = o.slot
           AND u.user_id = o.user_id
           SET m.follow_count   = m.follow_count + IF(o.kind = 'follow', o.state - o.was, 0),
               u.follow_count   = u.follow_count + IF(o.kind = 'follow', o.state - o.was, 0),
               m.favorite_count = m.favorite_count + IF(o.kind = 'favorite', o.state - o.was, 0),
               u.favorite_count = u.favorite_count + IF(o.kind = 'favorite', o.state - o.was, 0),
               m.ver            = IF(o.kind IN ('follow', 'favorite'),
                                     GREATEST(m.ver, o.epoch << 33) + 1, m.ver),
               u.ver            = IF(o.kind IN ('follow', 'favorite'),
                                     GREATEST(u.ver, o.epoch << 33) + 1, u.ver),
               m.edge_ver       = IF(o.kind IN ('follow', 'favorite'),
                                     GREATEST(m.edge_ver, o.epoch << 33) + o.place, m.edge_ver),
               u.edge_ver       = IF(o.kind IN ('follow', 'favorite'),
                                     GREATEST(u.edge_ver, o.epoch << 33) + o.place, u.edge_ver),
               m.mail_ver       = IF(o.kind = 'message', GREATEST(m.mail_ver, o.epoch << 33) + 1,
                                     m.mail_ver),
               u.mail_ver       = IF(o.kind = 'message', GREATEST(u.mail_ver, o.epoch << 33) + 1,
                                     u.mail_ver)
         WHERE o.code = 'ok';
    ELSE
        UPDATE (SELECT o.slot,
                       o.user_id,
                       MAX(o.epoch) << 33 AS floor,
                       SUM(IF(o.kind = 'follow', o.state - o.was, 0)) AS follows,
                       SUM(IF(o.kind = 'favorite', o.state - o.was, 0)) AS favorites,
                       MAX(IF(o.kind IN ('follow', 'favorite'), o.place, 0)) AS edges,
                       MAX(o.kind = 'message') AS mails,
                       MAX(o.kind IN ('follow', 'favorite')) AS cards
                  FROM op AS o
                 WHERE o.code = 'ok'
                 GROUP BY o.slot,
                          o.user_id) AS d
         STRAIGHT_JOIN op_user AS m
            ON m.slot = d.slot
           AND m.user_id = d.user_id
         STRAIGHT_JOIN user AS u FORCE INDEX (PRIMARY)
            ON u.slot = d.slot
           AND u.user_id = d.user_id
           SET m.follow_count   = m.follow_count + d.follows,
               u.follow_count   = u.follow_count + d.follows,
               m.favorite_count = m.favorite_count + d.favorites,
               u.favorite_count = u.favorite_count + d.favorites,
               m.ver            = IF(d.cards, GREATEST(m.ver, d.floor) + 1, m.ver),
               u.ver            = IF(d.cards, GREATEST(u.ver, d.floor) + 1, u.ver),
               m.edge_ver       = IF(d.edges, GREATEST(m.edge_ver, d.floor) + d.edges, m.edge_ver),
               u.edge_ver       = IF(d.edges, GREATEST(u.edge_ver, d.floor) + d.edges, u.edge_ver),
               m.mail_ver       = IF(d.mails, GREATEST(m.mail_ver, d.floor) + 1, m.mail_ver),
               u.mail_ver       = IF(d.mails, GREATEST(u.mail_ver, d.floor) + 1, u.mail_ver);
    END IF;
END$$

DELIMITER ;
