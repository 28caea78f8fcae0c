-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _op_user_lock: lock the user rows of a batch, in the order (slot, user).
--
-- Second in a writing transaction, after the fences and slot_seq. Operations whose
-- op.user_id is no live user end with notfound; those with user_id 0 are left alone.
--
-- Touches : SELECT user (by slot and user_id, FOR UPDATE); SELECT, UPDATE op
-- Errors  : none
-- Replays : nothing stays

DROP PROCEDURE IF EXISTS _op_user_lock;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _op_user_lock ()
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: lock the user rows of a batch in order'
BEGIN
    DECLARE v_slot    INT UNSIGNED;
    DECLARE v_user_id BIGINT UNSIGNED;
    DECLARE v_live    INT;
    DECLARE v_done    BOOLEAN DEFAULT FALSE;

    DECLARE c_user CURSOR FOR
        SELECT DISTINCT
               o.slot,
               o.user_id
          FROM op AS o
         WHERE o.code = 'ok'
           AND o.user_id > 0
         ORDER BY o.slot,
                  o.user_id;

    DECLARE CONTINUE HANDLER FOR NOT FOUND SET v_done = TRUE;

    OPEN c_user;
    user_loop: LOOP
        FETCH c_user INTO v_slot, v_user_id;
        IF v_done THEN
            LEAVE user_loop;
        END IF;

        SELECT COUNT(*)
          INTO v_live
          FROM user AS u
         WHERE u.slot = v_slot
           AND u.user_id = v_user_id
           AND u.state = 'live'
           FOR UPDATE;

        IF v_live = 0 THEN
            UPDATE op AS o
               SET o.code = 'notfound'
             WHERE o.code = 'ok'
               AND o.slot = v_slot
               AND o.user_id = v_user_id;
        END IF;
    END LOOP;
    CLOSE c_user;
END$$

DELIMITER ;
