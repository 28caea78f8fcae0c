-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- outbox_done: forget second halves that are delivered.
--
-- in_ops  batch; owner is the actor (comment: the video); each operation has
--           kind    follow, favorite, comment or message
--           target  owner of the second half
--           seq     number of the message, id of the comment; 0 for edges
--           ver     version that was delivered
--
-- Answer  : n, code, slot, epoch, server
-- Codes   : ok same (the row is gone, or waits for a newer version) moved notready
-- Touches : SELECT, DELETE outbox (by key); journal
-- Errors  : 45400 malformed batch, or two operations on one row
-- Replays : same

DROP PROCEDURE IF EXISTS outbox_done;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE outbox_done (
    IN in_ops JSON
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: forget second halves that are delivered'
BEGIN
    DECLARE v_moving TINYINT;

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    CALL _op_open(in_ops);
    CALL _op_outbox(in_ops);

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    CALL _op_fence();

    -- Rows of a video go where its author goes.
    UPDATE op AS o
       SET o.user_id = COALESCE((SELECT v.author_id
                                   FROM video AS v
                                  WHERE v.slot = o.slot
                                    AND v.video_id = o.owner), 0)
     WHERE o.code = 'ok'
       AND o.kind = 'comment';

    CALL _op_outbox_lock();

    DELETE x
      FROM op AS o
     STRAIGHT_JOIN outbox AS x FORCE INDEX (PRIMARY)
        ON x.slot = o.slot
       AND x.actor_id = o.owner
       AND x.kind = o.kind
       AND x.target_id = o.target
       AND x.seq = o.seq
     WHERE o.code = 'ok';

    SELECT MAX(o.moving)
      INTO v_moving
      FROM op AS o
     WHERE o.code = 'ok';

    IF v_moving THEN
        CALL _slot_log_add_ops('outbox');
    END IF;

    COMMIT;

    SELECT o.n,
           o.code,
           o.slot,
           o.epoch,
           o.server
      FROM op AS o
     ORDER BY o.n;
END$$

DELIMITER ;
