-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- media_find: does a video use these files?
--
-- in_ops  batch, in any order; owner is the author; each operation has
--           media  base name of the files
--
-- Answer  : n, code, slot, epoch, server, state (live or deleted)
-- Codes   : ok notfound (no video ever named them) moved notready
-- Touches : SELECT slot_fence, slot_known (by slot), owner_home (by slot and owner_id),
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
           CASE WHEN t.code = 'ok' AND t.state IS NULL
                THEN 'notfound'
                ELSE t.code
           END AS code,
           t.slot,
           t.epoch,
           t.server,
           t.state
      FROM (SELECT j.n,
                   CASE WHEN f.slot IS NULL OR f.epoch < j.epoch OR h.own_slot IS NOT NULL
                        THEN 'moved'
                        ELSE f.answer
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
                   (SELECT v.state
                      FROM video AS v FORCE INDEX (author)
                     WHERE v.slot = IF(f.answer = 'ok' AND f.epoch >= j.epoch
                                       AND h.own_slot IS NULL, j.slot, NULL)
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
              LEFT JOIN slot_fence AS f FORCE INDEX (PRIMARY)
                ON f.slot = j.slot
              LEFT JOIN owner_home AS h FORCE INDEX (PRIMARY)
                ON h.slot = IF(f.has_home = 1 AND f.answer = 'ok' AND f.epoch >= j.epoch,
                               j.slot, NULL)
               AND h.owner_id = j.owner
              LEFT JOIN slot_known AS k FORCE INDEX (PRIMARY)
                ON k.slot = COALESCE(h.own_slot, j.slot)) AS t
     ORDER BY t.n;
END$$

DELIMITER ;
