-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _op_video_answer: answer the live videos of a batch, as its transaction left them, a row for
-- each.
--
-- Called after COMMIT. Includes videos at which nothing changed, but not those of refused
-- operations. A video that is not live is answered with live 0.
--
-- Answer  : video_id, live, author_id, title, media, favorite_count, comment_count, published_at,
--           ver (of these), comment_ver (of the list of comments)
-- Touches : SELECT op_video (the session's own)
-- Errors  : none
-- Replays : reads only

DROP PROCEDURE IF EXISTS _op_video_answer;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _op_video_answer ()
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v1: answer the videos of a batch'
BEGIN
    SELECT m.video_id,
           m.state = 'live' AS live,
           m.author_id,
           m.title,
           m.media,
           m.favorite_count,
           m.comment_count,
           m.published_at,
           m.ver,
           m.comment_ver
      FROM op_video AS m;
END$$

DELIMITER ;
