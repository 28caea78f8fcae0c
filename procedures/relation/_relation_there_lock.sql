-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _relation_there_lock: lock the inbound parts of users for whose new followers this shard makes
-- both halves, and check them.
--
-- For the operations that are ok and whose target is here (op.prev, _op_fences). A follow that the
-- target refuses ends with notfound; an unfollow does not. After the user rows; fills op_there and
-- op_inbound.
--
-- Touches : SELECT inbound (by slot and user_id, FOR UPDATE), follower (by slot, user_id,
--           follower_id); SELECT, UPDATE op; DELETE, INSERT op_inbound, op_there (the session's
--           own)
-- Errors  : none
-- Replays : nothing stays

DROP PROCEDURE IF EXISTS _relation_there_lock;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _relation_there_lock ()
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: lock the targets of follows'
BEGIN
    DECLARE v_refused TINYINT;

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
                   o.id AS slot,
                   o.target
              FROM op AS o
             WHERE o.code = 'ok'
               AND o.prev > 0
             ORDER BY slot,
                      o.target
             LIMIT 256) AS w
     STRAIGHT_JOIN inbound AS i FORCE INDEX (PRIMARY)
        ON i.slot = w.slot
       AND i.user_id = w.target
       FOR UPDATE;

    INSERT INTO op_there (n, code, slot, epoch, owner, user_id, actor, state, was, ver, at)
    SELECT o.n,
           CASE WHEN i.user_id IS NULL
                THEN 'notfound'
                WHEN o.ver > COALESCE(e.ver, 0)
                THEN 'ok'
                ELSE 'same'
           END AS code,
           o.id,
           o.prev,
           o.target,
           o.target,
           o.owner,
           o.state,
           COALESCE(e.state, 0),
           o.ver,
           o.at
      FROM op AS o
      LEFT JOIN op_inbound AS i
        ON i.slot = o.id
       AND i.user_id = o.target
       AND i.state <> 'erased'
      LEFT JOIN follower AS e FORCE INDEX (PRIMARY)
        ON e.slot = i.slot
       AND e.user_id = o.target
       AND e.follower_id = o.owner
     WHERE o.code = 'ok'
       AND o.prev > 0;

    SELECT MAX(t.code = 'notfound')
      INTO v_refused
      FROM op_there AS t;

    IF v_refused THEN
        UPDATE op AS o
         STRAIGHT_JOIN op_there AS t
            ON t.n = o.n
           SET o.code = 'notfound'
         WHERE t.code = 'notfound'
           AND o.state = 1;
    END IF;
END$$

DELIMITER ;
