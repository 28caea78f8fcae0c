-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _op_user_lock: lock the user rows of a batch, in the order (slot, user), and copy them.
--
-- For the operations that are ok or same, the users op.user_id, erased ones included. Called again
-- before COMMIT, it copies their new state. Second in a writing transaction, after the fences and
-- slot_seq. The LIMIT, which no batch reaches, makes the sorted list a table of its own, which
-- drives the join.
--
-- Touches : SELECT user (by slot and user_id, FOR UPDATE); SELECT op; DELETE, INSERT op_user (the
--           session's own)
-- Errors  : none
-- Replays : nothing stays

DROP PROCEDURE IF EXISTS _op_user_lock;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _op_user_lock ()
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v2: lock and copy the user rows of a batch'
BEGIN
    DELETE FROM op_user;

    INSERT INTO op_user (slot, user_id, state, name, avatar, background_image, signature,
                         follow_count, work_count, favorite_count, ver, edge_ver, mail_ver,
                         message_last)
    SELECT u.slot,
           u.user_id,
           u.state,
           u.name,
           u.avatar,
           u.background_image,
           u.signature,
           u.follow_count,
           u.work_count,
           u.favorite_count,
           u.ver,
           u.edge_ver,
           u.mail_ver,
           u.message_last
      FROM (SELECT DISTINCT
                   o.slot,
                   o.user_id
              FROM op AS o
             WHERE o.code IN ('ok', 'same')
               AND o.user_id > 0
             ORDER BY o.slot,
                      o.user_id
             LIMIT 256) AS w
     STRAIGHT_JOIN user AS u FORCE INDEX (PRIMARY)
        ON u.slot = w.slot
       AND u.user_id = w.user_id
       FOR UPDATE;
END$$

DELIMITER ;
