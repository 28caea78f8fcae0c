-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- comment_export: the texts of live comments, for the export of who wrote them.
--
-- in_ops  batch, in any order; owner is the video, live or not; each operation has
--           user        who must have written it
--           comment_id  comment
--
-- Answer  : n, code, slot, epoch, server, text, created_at (ms since the Unix epoch)
-- Codes   : ok notfound (no live comment of this user) moved notready
-- Touches : SELECT slot_fence, slot_known (by slot), owner_home (by slot and owner_id),
--           comment (by slot, video_id and comment_id), in one snapshot
-- Errors  : 45400 malformed batch
-- Replays : reads only

DROP PROCEDURE IF EXISTS comment_export;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE comment_export (
    IN in_ops JSON
)
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v1: the texts of comments, for their author'
BEGIN
    DECLARE v_n INT;

    CALL _op_check(in_ops);

    SELECT MIN(j.n)
      INTO v_n
      FROM JSON_TABLE(in_ops, '$[*]' COLUMNS (
               n          FOR ORDINALITY,
               user       VARCHAR(24) PATH '$.user',
               comment_id VARCHAR(24) PATH '$.comment_id'
           )) AS j
     WHERE NOT COALESCE(CAST(CAST(j.user AS UNSIGNED) AS CHAR) = j.user
                        AND CAST(j.user AS UNSIGNED) > 0
                        AND CAST(CAST(j.comment_id AS UNSIGNED) AS CHAR) = j.comment_id
                        AND CAST(j.comment_id AS UNSIGNED) > 0, FALSE);

    CALL _op_refuse(v_n, 'user and comment_id');

    SELECT j.n,
           CASE WHEN f.slot IS NULL OR f.epoch < j.epoch OR h.own_slot IS NOT NULL
                THEN 'moved'
                WHEN f.answer <> 'ok'
                THEN f.answer
                WHEN c.comment_id IS NULL
                THEN 'notfound'
                ELSE 'ok'
           END AS code,
           COALESCE(h.own_slot, j.slot) AS slot,
           CASE WHEN h.own_slot IS NOT NULL
                THEN COALESCE(k.epoch, 0)
                ELSE GREATEST(COALESCE(f.epoch, 0), COALESCE(k.epoch, 0))
           END AS epoch,
           CASE WHEN h.own_slot IS NOT NULL OR COALESCE(k.epoch > f.epoch, f.slot IS NULL)
                THEN COALESCE(k.server, '')
                ELSE f.server
           END AS server,
           c.text,
           c.created_at
      FROM JSON_TABLE(in_ops, '$[*]' COLUMNS (
               n          FOR ORDINALITY,
               slot       INT UNSIGNED PATH '$.slot',
               epoch      BIGINT UNSIGNED PATH '$.epoch',
               owner      BIGINT UNSIGNED PATH '$.owner',
               user       BIGINT UNSIGNED PATH '$.user',
               comment_id BIGINT UNSIGNED PATH '$.comment_id'
           )) AS j
      LEFT JOIN slot_fence AS f FORCE INDEX (PRIMARY)
        ON f.slot = j.slot
      LEFT JOIN owner_home AS h FORCE INDEX (PRIMARY)
        ON h.slot = IF(f.has_home = 1 AND f.answer = 'ok' AND f.epoch >= j.epoch, j.slot, NULL)
       AND h.owner_id = j.owner
      LEFT JOIN slot_known AS k FORCE INDEX (PRIMARY)
        ON k.slot = COALESCE(h.own_slot, j.slot)
      LEFT JOIN comment AS c FORCE INDEX (PRIMARY)
        ON c.slot = IF(f.answer = 'ok' AND f.epoch >= j.epoch AND h.own_slot IS NULL, j.slot, NULL)
       AND c.video_id = j.owner
       AND c.comment_id = j.comment_id
       AND c.author_id = j.user
       AND c.state = 'live'
     ORDER BY j.n;
END$$

DELIMITER ;
