-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _op_inbound_change: count what a batch changed at the inbound parts of its users, in their rows
-- and their copies.
--
-- Of the operations that are ok: kind favorite changes total_favorited, kind follow
-- follower_count, by state - was; both raise the version of the card by one, and follow that of
-- the list of followers by the highest place; kind message raises the version of the mailbox.
--
-- Touches : SELECT op; UPDATE inbound (by slot and user_id), op_inbound (the session's own)
-- Errors  : none
-- Replays : counts again: once per batch

DROP PROCEDURE IF EXISTS _op_inbound_change;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _op_inbound_change ()
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: count what a batch changed at inbound parts'
BEGIN
    UPDATE (SELECT o.slot,
                   o.user_id,
                   MAX(o.epoch) << 33 AS floor,
                   SUM(IF(o.kind = 'follow', o.state - o.was, 0)) AS followers,
                   SUM(IF(o.kind = 'favorite', o.state - o.was, 0)) AS likes,
                   MAX(IF(o.kind = 'follow', o.place, 0)) AS places,
                   MAX(o.kind = 'message') AS mails,
                   MAX(o.kind IN ('follow', 'favorite')) AS cards
              FROM op AS o
             WHERE o.code = 'ok'
             GROUP BY o.slot,
                      o.user_id) AS d
     STRAIGHT_JOIN op_inbound AS m
        ON m.slot = d.slot
       AND m.user_id = d.user_id
     STRAIGHT_JOIN inbound AS i FORCE INDEX (PRIMARY)
        ON i.slot = d.slot
       AND i.user_id = d.user_id
       SET m.follower_count  = m.follower_count + d.followers,
           i.follower_count  = i.follower_count + d.followers,
           m.total_favorited = m.total_favorited + d.likes,
           i.total_favorited = i.total_favorited + d.likes,
           m.ver             = IF(d.cards, GREATEST(m.ver, d.floor) + 1, m.ver),
           i.ver             = IF(d.cards, GREATEST(i.ver, d.floor) + 1, i.ver),
           m.follower_ver    = IF(d.places, GREATEST(m.follower_ver, d.floor) + d.places,
                                  m.follower_ver),
           i.follower_ver    = IF(d.places, GREATEST(i.follower_ver, d.floor) + d.places,
                                  i.follower_ver),
           m.mail_ver        = IF(d.mails, GREATEST(m.mail_ver, d.floor) + 1, m.mail_ver),
           i.mail_ver        = IF(d.mails, GREATEST(i.mail_ver, d.floor) + 1, i.mail_ver);
END$$

DELIMITER ;
