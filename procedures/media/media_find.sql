-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- media_find: does a video use these files?
--
-- in_ops  batch, in any order; owner is the author; each operation has
--           media  base name of the files
--
-- Answer  : n, code, slot, epoch, server, state (live or deleted)
-- Answer 2: as _op_refusals (when this shard does not serve all owners)
-- Codes   : ok notfound (no video ever named them) moved notready
-- Touches : SELECT slot_fence (by slot), owner_home (by slot and owner_id),
--           video (by slot and author_id), in one snapshot
-- Errors  : 45400 malformed batch
-- Replays : reads only

DROP PROCEDURE IF EXISTS media_find;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE media_find (
    IN in_ops JSON
)
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v1: does a video use these files'
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
                   (SELECT v.state
                      FROM video AS v FORCE INDEX (author)
                     WHERE v.slot = f.slot
                       AND v.author_id = j.owner
                       AND v.media = j.media
                     ORDER BY v.state
                     LIMIT 1) AS state
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
             WHERE h.owner_id IS NULL) AS t
     ORDER BY t.n;

    IF FOUND_ROWS() < JSON_LENGTH(in_ops) THEN
        CALL _op_refusals(in_ops);
    END IF;
END$$

DELIMITER ;
