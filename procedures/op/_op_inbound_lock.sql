-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _op_inbound_lock: lock the inbound parts of the users of a batch, in the order (slot, user), and
-- copy them.
--
-- For the operations that are ok or same, the users op.user_id, erased ones included. Called again
-- before COMMIT, it copies their new state. After the user and video rows. The LIMIT, which no
-- batch reaches, makes the sorted list a table of its own, which drives the join.
--
-- Touches : SELECT inbound (by slot and user_id, FOR UPDATE); SELECT op; DELETE, INSERT op_inbound
--           (the session's own)
-- Errors  : none
-- Replays : nothing stays

DROP PROCEDURE IF EXISTS _op_inbound_lock;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _op_inbound_lock ()
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: lock and copy the inbound parts of users'
BEGIN
    DELETE FROM op_inbound;

    INSERT INTO op_inbound (slot, user_id, state, follower_count, total_favorited, ver,
                            follower_ver, mail_ver)
    SELECT i.slot,
           i.user_id,
           i.state,
           i.follower_count,
           i.total_favorited,
           i.ver,
           i.follower_ver,
           i.mail_ver
      FROM (SELECT DISTINCT
                   o.slot,
                   o.user_id
              FROM op AS o
             WHERE o.code IN ('ok', 'same')
               AND o.user_id > 0
             ORDER BY o.slot,
                      o.user_id
             LIMIT 256) AS w
     STRAIGHT_JOIN inbound AS i FORCE INDEX (PRIMARY)
        ON i.slot = w.slot
       AND i.user_id = w.user_id
       FOR UPDATE;
END$$

DELIMITER ;
