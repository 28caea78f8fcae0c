-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _op_user_need: end the operations whose user is no live one in op_user with notfound.
--
-- Those with user_id 0 are left alone.
--
-- Touches : SELECT op_user; UPDATE op (the session's own)
-- Errors  : none
-- Replays : nothing stays

DROP PROCEDURE IF EXISTS _op_user_need;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _op_user_need ()
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: end operations on users that are not live'
BEGIN
    UPDATE op AS o
      LEFT JOIN op_user AS m
        ON m.slot = o.slot
       AND m.user_id = o.user_id
       AND m.state = 'live'
       SET o.code = 'notfound'
     WHERE o.code = 'ok'
       AND o.user_id > 0
       AND m.user_id IS NULL;
END$$

DELIMITER ;
