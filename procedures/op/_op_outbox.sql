-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _op_outbox: read the names of outbox rows out of a batch.
--
-- in_ops  the batch that _op_outbox_check has checked; fills op.kind, target, seq and ver
--
-- After _op_fence. op.user_id becomes the user to whom the row belongs: the author, when the
-- owner is a video.
--
-- Touches : SELECT video (by slot and video_id, for comments); SELECT, UPDATE op
-- Errors  : 45400 two operations on one row
-- Replays : nothing stays

DROP PROCEDURE IF EXISTS _op_outbox;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _op_outbox (
    IN in_ops JSON
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: read the names of outbox rows'
BEGIN
    UPDATE JSON_TABLE(in_ops, '$[*]' COLUMNS (
               n      FOR ORDINALITY,
               kind   VARCHAR(16) PATH '$.kind',
               target BIGINT UNSIGNED PATH '$.target',
               seq    BIGINT UNSIGNED PATH '$.seq',
               ver    BIGINT UNSIGNED PATH '$.ver'
           )) AS j
     STRAIGHT_JOIN op AS o
        ON o.n = j.n
       SET o.kind   = j.kind,
           o.target = j.target,
           o.seq    = j.seq,
           o.ver    = j.ver;

    -- Rows of a video go where its author goes.
    UPDATE op AS o
       SET o.user_id = COALESCE((SELECT v.author_id
                                   FROM video AS v
                                  WHERE v.slot = o.slot
                                    AND v.video_id = o.owner), 0)
     WHERE o.code = 'ok'
       AND o.kind = 'comment';

    CALL _op_distinct();
END$$

DELIMITER ;
