-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _op_user_lock: lock the user rows of a batch, in the order (slot, user).
--
-- Second in a writing transaction, after the fences and slot_seq. Operations whose
-- op.user_id is no live user end with notfound; those with user_id 0 are left alone. The
-- LIMIT, which no batch reaches, makes the sorted list of users a table of its own, which
-- drives the join.
--
-- Touches : SELECT user (by slot and user_id, FOR UPDATE); SELECT, UPDATE op
-- Errors  : none
-- Replays : nothing stays

DROP PROCEDURE IF EXISTS _op_user_lock;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _op_user_lock ()
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v2: lock the user rows of a batch in order'
BEGIN
    DECLARE v_count INT;
    DECLARE v_live  INT;

    SELECT COUNT(*),
           COUNT(u.user_id)
      INTO v_count,
           v_live
      FROM (SELECT DISTINCT
                   o.slot,
                   o.user_id
              FROM op AS o
             WHERE o.code = 'ok'
               AND o.user_id > 0
             ORDER BY o.slot,
                      o.user_id
             LIMIT 256) AS w
      LEFT JOIN user AS u FORCE INDEX (PRIMARY)
        ON u.slot = w.slot
       AND u.user_id = w.user_id
       AND u.state = 'live'
       FOR UPDATE;

    IF v_live < v_count THEN
        UPDATE op AS o
          LEFT JOIN user AS u FORCE INDEX (PRIMARY)
            ON u.slot = o.slot
           AND u.user_id = o.user_id
           AND u.state = 'live'
           SET o.code = 'notfound'
         WHERE o.code = 'ok'
           AND o.user_id > 0
           AND u.user_id IS NULL;
    END IF;
END$$

DELIMITER ;
