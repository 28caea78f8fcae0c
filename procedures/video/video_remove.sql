-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- video_remove: delete a video, whoever its author is.
--
-- in_id  video
--
-- Answer  : n, code, slot, epoch, server
-- Answer 2: as _op_user_answer
-- Answer 3: as _op_video_answer
-- Answer 4: as _op_inbound_answer
-- Codes   : ok same (it is deleted) notfound (no such video) moved notready
-- Touches : SELECT, UPDATE user, video, inbound (by slot and id); INSERT job; journal
-- Errors  : 45400 no id
-- Replays : same

DROP PROCEDURE IF EXISTS video_remove;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE video_remove (
    IN in_id BIGINT UNSIGNED
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: delete a video'
BEGIN
    DECLARE v_ops    JSON;
    DECLARE v_moving TINYINT;

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    IF NOT COALESCE(in_id BETWEEN 1 AND 9007199254740991, FALSE) THEN
        SIGNAL SQLSTATE '45400' SET MESSAGE_TEXT = 'video_remove needs the id of a video';
    END IF;

    SET v_ops = _op_home(in_id);

    CALL _op_open(v_ops);

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    CALL _op_fence(v_moving);
    CALL _op_author();
    CALL _op_user_lock();

    CALL _op_video_lock();

    UPDATE op AS o
     STRAIGHT_JOIN op_video AS v
        ON v.slot = o.slot
       AND v.video_id = o.owner
       SET o.kind = 'video',
           o.code = CASE v.state
                         WHEN 'live'
                         THEN 'ok'
                         ELSE 'same'
                    END
     WHERE o.code = 'ok';

    CALL _video_delete();

    CALL _op_user_lock();
    CALL _op_video_lock();
    CALL _op_inbound_lock();

    COMMIT;

    SELECT o.n,
           o.code,
           o.slot,
           o.epoch,
           o.server
      FROM op AS o
     ORDER BY o.n;

    CALL _op_user_answer();
    CALL _op_video_answer();
    CALL _op_inbound_answer();
END$$

DELIMITER ;
