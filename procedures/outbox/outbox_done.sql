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
-- Touches : SELECT, UPDATE, DELETE outbox (by key); journal
-- Errors  : 45400 malformed batch, or two operations on one row
-- Replays : same

DROP PROCEDURE IF EXISTS outbox_done;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE outbox_done (
    IN in_ops JSON
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v2 serves v1: forget second halves that are delivered'
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

    CALL _op_fence(v_moving);

    -- Rows of a video go where its author goes.
    UPDATE op AS o
       SET o.user_id = COALESCE((SELECT v.author_id
                                   FROM video AS v
                                  WHERE v.slot = o.slot
                                    AND v.video_id = o.owner), 0)
     WHERE o.code = 'ok'
       AND o.kind = 'comment';

    CALL _op_outbox_lock();

    CALL _op_outbox_remove();

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
