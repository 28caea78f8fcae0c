-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _op_inbound_answer: answer the inbound parts of a batch, as its transaction left them, a row for
-- each.
--
-- Called after COMMIT. Includes users at whom nothing changed, but not those of refused operations.
--
-- Answer  : user_id, follower_count, total_favorited, in_ver (of these), follower_ver (of the list
--           of followers), in_mail_ver (of the mailbox, as far as others change it)
-- Touches : SELECT op_inbound (the session's own)
-- Errors  : none
-- Replays : reads only

DROP PROCEDURE IF EXISTS _op_inbound_answer;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _op_inbound_answer ()
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v1: answer the inbound parts of a batch'
BEGIN
    SELECT m.user_id,
           m.follower_count,
           m.total_favorited,
           m.ver AS in_ver,
           m.follower_ver,
           m.mail_ver AS in_mail_ver
      FROM op_inbound AS m
     WHERE m.state <> 'erased';
END$$

DELIMITER ;
