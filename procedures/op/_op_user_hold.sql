-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _op_user_hold: lock the user rows of a batch, in the order (slot, user), live or not.
--
-- _op_user_lock without its question: for what erased users must still hear. Locks
-- op.user_id, if there is such a row.
--
-- Touches : SELECT user (by slot and user_id, FOR UPDATE); SELECT op
-- Errors  : none
-- Replays : nothing stays

DROP PROCEDURE IF EXISTS _op_user_hold;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _op_user_hold ()
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v1: lock the user rows of a batch, live or not'
BEGIN
    DECLARE v_count INT;

    SELECT COUNT(*)
      INTO v_count
      FROM (SELECT DISTINCT
                   o.slot,
                   o.user_id
              FROM op AS o
             WHERE o.code = 'ok'
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
