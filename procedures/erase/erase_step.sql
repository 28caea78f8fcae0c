-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- erase_step: undo a part of what an erased user wrote and did.
--
-- in_slot        slot of the user
-- in_epoch       epoch of the slot, as the router believes
-- in_user_id     an erased user
-- in_peer_id     which of his messages: those after this peer
-- in_at          and this time; both 0: from the first one
-- in_video_id    which of his comments: those after this video
-- in_comment_id  and this comment; both 0: from the first one
-- in_limit       at most so many rows of each kind, 1 to 100
--
-- His videos are deleted and lose their titles; what he follows and likes becomes tombstones
-- whose second halves go through the outbox. His sent messages are taken back, also through the
-- outbox, and removed when they no longer wait there; received ones are removed at once. Comments
-- are at their videos: each row names one for which the caller calls comment_erase. Called until
-- left is 0, each time from where the answer before ended, by whoever claimed the job user_erase;
-- every step is a transaction of its own. What others follow stays in their lists as an id that
-- nobody finds.
--
-- Answer  : n, code, slot, epoch, server, left (1: call again), undone (rows that this step
--           changed), peer_id, at (where to go on with messages; both 0: from the first one),
--           video_id, comment_id (NULL: there is no comment to be deleted)
-- Codes   : ok notfound (no erased user) moved notready
-- Touches : SELECT, UPDATE user, video (by slot and id), follow, favorite (by slot, user_id,
--           state, ver), message (by slot, user_id, peer_id, at), outbox, chat; SELECT
--           commented (by key); DELETE message; INSERT job; journal
-- Errors  : 45400 an argument is NULL or out of range
-- Replays : goes on with what is left

DROP PROCEDURE IF EXISTS erase_step;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE erase_step (
    IN in_slot       INT UNSIGNED,
    IN in_epoch      BIGINT UNSIGNED,
    IN in_user_id    BIGINT UNSIGNED,
    IN in_peer_id    BIGINT UNSIGNED,
    IN in_at         BIGINT,
    IN in_video_id   BIGINT UNSIGNED,
    IN in_comment_id BIGINT UNSIGNED,
    IN in_limit      INT
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v3: undo a part of what an erased user did'
BEGIN
    DECLARE v_ops      JSON;
    DECLARE v_slot     INT UNSIGNED;
    DECLARE v_moving   TINYINT;
    DECLARE v_messages INT;
    DECLARE v_comments INT;
    DECLARE v_undone   INT;
    DECLARE v_through  INT;
    DECLARE v_titles   INT;
    DECLARE v_chats    INT;
    DECLARE v_left     INT DEFAULT 0;
    DECLARE v_peer_id  BIGINT UNSIGNED;
    DECLARE v_at       BIGINT;

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    IF NOT COALESCE(in_slot >= 0
                    AND in_epoch >= 0
                    AND in_user_id BETWEEN 1 AND 9007199254740991
                    AND in_peer_id >= 0
                    AND in_at >= 0
                    AND in_video_id >= 0
                    AND in_comment_id >= 0
                    AND in_limit BETWEEN 1 AND 100, FALSE) THEN
        SIGNAL SQLSTATE '45400'
           SET MESSAGE_TEXT = 'erase_step needs slot, epoch, user_id, two places, limit 1 to 100';
    END IF;

    SET v_ops = JSON_ARRAY(JSON_OBJECT('slot', in_slot, 'epoch', in_epoch, 'owner', in_user_id));

    CALL _op_open(v_ops);

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    CALL _op_fence(v_moving);
    CALL _op_user_lock();

    SELECT MAX(o.slot),
           MAX(o.moving)
      INTO v_slot,
           v_moving
      FROM op AS o
     STRAIGHT_JOIN user AS u FORCE INDEX (PRIMARY)
        ON u.slot = o.slot
       AND u.user_id = o.owner
       AND u.state = 'erased'
     WHERE o.code = 'ok';

    UPDATE op AS o
       SET o.code = 'notfound'
     WHERE o.code = 'ok'
       AND v_slot IS NULL;

    CALL _erase_videos(v_slot, in_user_id, v_moving, in_limit);
    CALL _erase_edges(v_slot, in_user_id, v_moving, in_limit);
    CALL _erase_mail(v_slot, in_user_id, v_moving, in_peer_id, in_at, in_limit);
    CALL _op_user_change();
    CALL _slot_log_add(v_moving, v_slot, 'user', in_user_id,
                       in_user_id, NULL, NULL, NULL, NULL);

    -- After a full window of messages or comments there may be more.
    SELECT SUM(o.kind IN ('message', 'mail', 'wait')),
           SUM(o.kind NOT IN ('', 'wait')),
           SUM(o.kind IN ('video', 'follow', 'favorite', 'message')),
           SUM(o.kind = 'title'),
           SUM(o.kind = 'chat'),
           MAX(IF(o.kind IN ('message', 'mail', 'wait'), o.target, NULL))
      INTO v_messages,
           v_undone,
           v_through,
           v_titles,
           v_chats,
           v_peer_id
      FROM op AS o;

    SELECT MAX(o.at)
      INTO v_at
      FROM op AS o
     WHERE o.target = v_peer_id
       AND o.kind IN ('message', 'mail', 'wait');

    DELETE FROM op_comment;

    INSERT INTO op_comment (video_id, comment_id)
    SELECT c.video_id,
           c.comment_id
      FROM commented AS c FORCE INDEX (PRIMARY)
     WHERE c.slot = v_slot
       AND c.user_id = in_user_id
       AND ((c.video_id = in_video_id AND c.comment_id > in_comment_id)
            OR c.video_id > in_video_id)
       AND c.state = 1
     ORDER BY c.video_id,
              c.comment_id
     LIMIT in_limit;

    SET v_comments = ROW_COUNT();

    -- Work through the outbox is done when the outbox is empty; for the rest a full window means
    -- that there may be more.
    SELECT v_through > 0
           OR in_limit IN (v_titles, v_chats)
           OR v_comments = in_limit
           OR EXISTS (SELECT 1
                        FROM message AS m
                       WHERE m.slot = v_slot
                         AND m.user_id = in_user_id)
           OR EXISTS (SELECT 1
                        FROM commented AS c
                       WHERE c.slot = v_slot
                         AND c.user_id = in_user_id
                         AND c.state = 1)
      INTO v_left;

    COMMIT;

    SELECT o.n,
           o.code,
           o.slot,
           o.epoch,
           o.server,
           IF(o.code = 'ok', v_left, NULL) AS `left`,
           IF(o.code = 'ok', v_undone, NULL) AS undone,
           IF(o.code = 'ok', IF(v_messages < in_limit, 0, v_peer_id), NULL) AS peer_id,
           IF(o.code = 'ok', IF(v_messages < in_limit, 0, v_at), NULL) AS at,
           t.video_id,
           t.comment_id
      FROM op AS o
      LEFT JOIN op_comment AS t
        ON o.code = 'ok'
     WHERE o.n = 1
     ORDER BY t.video_id,
              t.comment_id;
END$$

DELIMITER ;
