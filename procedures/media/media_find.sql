-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- media_find: does a row name these files?
--
-- in_ops  batch, in any order; owner is the author; each operation has
--           media  base name of the files: what a video has as media, and what avatar and
--                  background_image of a profile begin with, before the dot
--
-- Answer  : n, code, slot, epoch, server, state (live: a video that is not deleted or the
--           author's profile names them; deleted: only videos that are deleted do)
-- Answer 2: as _op_refusals (when this shard does not serve all owners)
-- Codes   : ok notfound (no row names them) moved notready
-- Touches : SELECT slot_fence (by slot), owner_home (by slot and owner_id), user (by slot and
--           user_id), video (by slot, author_id and media), in one snapshot
-- Errors  : 45400 malformed batch
-- Replays : reads only

DROP PROCEDURE IF EXISTS media_find;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE media_find (
    IN in_ops JSON
)
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v2 serves v1: does a row name these files'
BEGIN
    DECLARE v_n INT;

    CALL _op_check(in_ops);

    SELECT MIN(j.n)
      INTO v_n
      FROM JSON_TABLE(in_ops, '$[*]' COLUMNS (
               n     FOR ORDINALITY,
               media VARCHAR(65) PATH '$.media'
           )) AS j
     WHERE NOT COALESCE(CHAR_LENGTH(j.media) BETWEEN 1 AND 64, FALSE);

    CALL _op_refuse(v_n, 'media');

    -- The LIMIT never cuts; without it the server evaluates state twice per name. Pictures are
    -- searched only if there is no video.
    SELECT t.n,
           IF(t.state IS NULL, 'notfound', 'ok') AS code,
           t.slot,
           t.epoch,
           t.server,
           t.state
      FROM (SELECT j.n,
                   f.slot,
                   f.epoch,
                   f.server,
                   COALESCE((SELECT v.state
                               FROM video AS v FORCE INDEX (media)
                              WHERE v.slot = f.slot
                                AND v.author_id = j.owner
                                AND v.media = CONVERT(j.media USING ascii) COLLATE ascii_bin
                                AND v.state = 'live'
                              LIMIT 1),
                            (SELECT 'live'
                               FROM user AS u FORCE INDEX (PRIMARY)
                              WHERE u.slot = f.slot
                                AND u.user_id = j.owner
                                AND u.state <> 'erased'
                                AND (SUBSTRING_INDEX(u.avatar, '.', 1) = j.media
                                     OR SUBSTRING_INDEX(u.background_image, '.', 1) = j.media)),
                            (SELECT v.state
                               FROM video AS v FORCE INDEX (media)
                              WHERE v.slot = f.slot
                                AND v.author_id = j.owner
                                AND v.media = CONVERT(j.media USING ascii) COLLATE ascii_bin
                              LIMIT 1)) AS state
              FROM JSON_TABLE(in_ops, '$[*]' COLUMNS (
                       n     FOR ORDINALITY,
                       slot  INT UNSIGNED PATH '$.slot',
                       epoch BIGINT UNSIGNED PATH '$.epoch',
                       owner BIGINT UNSIGNED PATH '$.owner',
                       media VARCHAR(64) PATH '$.media'
                   )) AS j
             STRAIGHT_JOIN slot_fence AS f FORCE INDEX (PRIMARY)
                ON f.slot = j.slot
               AND f.answer = 'ok'
               AND f.epoch >= j.epoch
              LEFT JOIN owner_home AS h FORCE INDEX (PRIMARY)
                ON h.slot = IF(f.has_home = 1, f.slot, NULL)
               AND h.owner_id = j.owner
             WHERE h.owner_id IS NULL
             LIMIT 256) AS t
     ORDER BY t.n;

    IF FOUND_ROWS() < JSON_LENGTH(in_ops) THEN
        CALL _op_refusals(in_ops);
    END IF;
END$$

DELIMITER ;
