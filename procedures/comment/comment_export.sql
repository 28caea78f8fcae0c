-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- comment_export: the texts of live comments, for the export of their author.
--
-- in_ops  batch, in any order; owner is the video, live or not; each operation has
--           user        who must have written it
--           comment_id  comment
--
-- Answer  : n, code, slot, epoch, server, text, created_at (ms since the Unix epoch)
-- Answer 2: as _op_refusals (when this shard does not serve all owners)
-- Codes   : ok notfound (no live comment of this user) moved notready
-- Touches : SELECT slot_fence (by slot), owner_home (by slot and owner_id),
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
           IF(c.comment_id IS NULL, 'notfound', 'ok') AS code,
           f.slot,
           f.epoch,
           f.server,
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
     STRAIGHT_JOIN slot_fence AS f FORCE INDEX (PRIMARY)
        ON f.slot = j.slot
       AND f.answer = 'ok'
       AND f.epoch >= j.epoch
      LEFT JOIN owner_home AS h FORCE INDEX (PRIMARY)
        ON h.slot = IF(f.has_home = 1, f.slot, NULL)
       AND h.owner_id = j.owner
      LEFT JOIN comment AS c FORCE INDEX (PRIMARY)
        ON c.slot = f.slot
       AND c.video_id = j.owner
       AND c.comment_id = j.comment_id
       AND c.author_id = j.user
       AND c.state = 'live'
     WHERE h.owner_id IS NULL
     ORDER BY j.n;

    IF FOUND_ROWS() < JSON_LENGTH(in_ops) THEN
        CALL _op_refusals(in_ops);
    END IF;
END$$

DELIMITER ;
