-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _op_user_answer: answer the users of a batch, as its transaction left them, a row for each.
--
-- Called after COMMIT. Includes users at whom nothing changed, but not those of refused operations.
--
-- Answer  : user_id, name, avatar, background_image, signature, follow_count, work_count,
--           favorite_count, ver (of these), edge_ver (of the lists follow and favorite), mail_ver
--           (of the mailbox, as far as its owner changes it)
-- Touches : SELECT op_user (the session's own)
-- Errors  : none
-- Replays : reads only

DROP PROCEDURE IF EXISTS _op_user_answer;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _op_user_answer ()
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v1: answer the users of a batch'
BEGIN
    SELECT m.user_id,
           m.name,
           m.avatar,
           m.background_image,
           m.signature,
           m.follow_count,
           m.work_count,
           m.favorite_count,
           m.ver,
           m.edge_ver,
           m.mail_ver
      FROM op_user AS m
     WHERE m.state <> 'erased';
END$$

DELIMITER ;
