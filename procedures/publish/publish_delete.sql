-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- publish_delete: take videos out of every list and leave the removal of their files as a
-- job.
--
-- in_ops  batch; owner is the video; each operation has
--           user  who asks
--
-- Answer  : n, code, slot, epoch, server, media
-- Answer 2: as _op_user_answer
-- Answer 3: as _op_video_answer
-- Answer 4: as _op_inbound_answer
-- Codes   : ok same (its author deleted it before) notfound forbidden (not the author)
--           moved notready
-- Touches : SELECT, UPDATE user, video, inbound (by slot and id); INSERT job (by slot, owner_id,
--           kind, target_id); journal
-- Errors  : 45400 malformed batch, or two operations on one video
-- Replays : same

DROP PROCEDURE IF EXISTS publish_delete;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE publish_delete (
    IN in_ops JSON
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: delete videos of their authors'
BEGIN
    DECLARE v_moving TINYINT;

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    CALL _op_begin(in_ops);

    INSERT INTO op (n, slot, epoch, owner, user_id, kind, target)
    SELECT j.n,
           j.slot,
           j.epoch,
           j.owner,
           0,
           'video',
           j.caller_id
      FROM JSON_TABLE(in_ops, '$[*]' COLUMNS (
               n              FOR ORDINALITY,
               slot           INT UNSIGNED PATH '$.slot',
               slot_text      VARCHAR(24) PATH '$.slot',
               epoch          BIGINT UNSIGNED PATH '$.epoch',
               epoch_text     VARCHAR(24) PATH '$.epoch',
               owner          BIGINT UNSIGNED PATH '$.owner',
               owner_text     VARCHAR(24) PATH '$.owner',
               caller_id      BIGINT UNSIGNED PATH '$.user',
               caller_id_text VARCHAR(24) PATH '$.user'
           )) AS j
     WHERE CONCAT(j.slot, ',', j.epoch, ',', j.owner, ',', j.caller_id)
           = CONCAT(j.slot_text, ',', j.epoch_text, ',', j.owner_text, ',', j.caller_id_text)
       AND j.owner > 0
       AND j.caller_id > 0;

    CALL _op_opened(in_ops, ROW_COUNT(), 'owner and user');

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    CALL _op_fence(v_moving);
    CALL _op_author();
    CALL _op_user_lock();
    CALL _op_user_need();
    CALL _op_video_lock();

    UPDATE op AS o
     STRAIGHT_JOIN op_video AS v
        ON v.slot = o.slot
       AND v.video_id = o.owner
       SET o.code  = CASE WHEN o.target = v.author_id
                          THEN IF(v.state = 'live', 'ok', 'same')
                          ELSE IF(v.state = 'live', 'forbidden', 'notfound')
                     END,
           o.media = IF(o.target = v.author_id, v.media, '')
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
           o.server,
           NULLIF(o.media, '') AS media
      FROM op AS o;

    CALL _op_user_answer();
    CALL _op_video_answer();
    CALL _op_inbound_answer();
END$$

DELIMITER ;
