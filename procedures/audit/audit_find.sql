-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- audit_find: single rows that are one half of something, for the auditor.
--
-- in_ops  batch, in any order; owner as below; each operation has
--           tbl    which table, see below
--           other  the other end
--           seq    number of the message or id of the comment; 0 for edges
--
--           table      owner  other          seq
--           follow     user   followed user  0
--           follower   user   follower       0
--           favorite   user   video          0
--           liker      video  user           0
--           comment    video  author         comment_id
--           commented  user   video          comment_id
--           sent       user   peer           seq
--           received   user   peer           seq
--
-- Answer  : n, code, slot, epoch, server, owner_state (live, banned, erased or deleted; NULL:
--           there is no such owner), state, ver, digest (all three NULL: there is no such row; see
--           audit_rows)
-- Answer 2: as _op_refusals (when this shard does not serve all owners)
-- Codes   : ok moved notready
-- Touches : SELECT shard_self, slot_fence (by slot), owner_home, user, video (by slot and id),
--           follow, follower, favorite, liker, comment, commented, message (by key), in one
--           snapshot; of a shard that is refused for the operator
-- Errors  : 45400 malformed batch
-- Replays : reads only

DROP PROCEDURE IF EXISTS audit_find;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE audit_find (
    IN in_ops JSON
)
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v1: single rows that are one half of something'
BEGIN
    DECLARE v_n    INT;
    DECLARE v_open TINYINT DEFAULT _shard_open();

    CALL _op_check(in_ops);

    SELECT MIN(j.n)
      INTO v_n
      FROM JSON_TABLE(in_ops, '$[*]' COLUMNS (
               n     FOR ORDINALITY,
               tbl   VARCHAR(16) PATH '$.tbl',
               other VARCHAR(24) PATH '$.other',
               seq   VARCHAR(24) PATH '$.seq'
           )) AS j
     WHERE NOT COALESCE(j.tbl IN ('follow', 'follower', 'favorite', 'liker', 'comment',
                                  'commented', 'sent', 'received')
                        AND CAST(CAST(j.other AS UNSIGNED) AS CHAR) = j.other
                        AND CAST(CAST(j.seq AS UNSIGNED) AS CHAR) = j.seq, FALSE);

    CALL _op_refuse(v_n, 'tbl, other and seq');

    SELECT j.n,
           'ok' AS code,
           f.slot,
           f.epoch,
           f.server,
           COALESCE(u.state, v.state) AS owner_state,
           COALESCE(fo.state, fr.state, fa.state, li.state, cd.state, me.state,
                    CASE co.state
                         WHEN 'live'
                         THEN 1
                         WHEN 'deleted'
                         THEN 0
                    END) AS state,
           COALESCE(fo.ver, fr.ver, fa.ver, li.ver, co.ver, cd.ver,
                    CASE me.state
                         WHEN 1
                         THEN 1
                         WHEN 0
                         THEN 2
                    END) AS ver,
           CASE WHEN me.slot IS NOT NULL
                THEN MD5(CONCAT(me.message_id, HEX(me.op), me.text))
                WHEN COALESCE(fo.slot, fr.slot, fa.slot, li.slot, co.slot, cd.slot) IS NOT NULL
                THEN ''
           END AS digest
      FROM JSON_TABLE(in_ops, '$[*]' COLUMNS (
               n     FOR ORDINALITY,
               slot  INT UNSIGNED PATH '$.slot',
               epoch BIGINT UNSIGNED PATH '$.epoch',
               owner BIGINT UNSIGNED PATH '$.owner',
               tbl   VARCHAR(16) PATH '$.tbl',
               other BIGINT UNSIGNED PATH '$.other',
               seq   BIGINT UNSIGNED PATH '$.seq'
           )) AS j
     STRAIGHT_JOIN slot_fence AS f FORCE INDEX (PRIMARY)
        ON f.slot = j.slot
       AND (f.answer = 'ok' OR (v_open AND f.answer = 'notready'
                            AND f.state IN ('owned', 'migrating')))
       AND f.epoch >= j.epoch
      LEFT JOIN owner_home AS h FORCE INDEX (PRIMARY)
        ON h.slot = IF(f.has_home = 1, f.slot, NULL)
       AND h.owner_id = j.owner
      LEFT JOIN user AS u FORCE INDEX (PRIMARY)
        ON u.slot = IF(j.tbl NOT IN ('liker', 'comment'), f.slot, NULL)
       AND u.user_id = j.owner
      LEFT JOIN video AS v FORCE INDEX (PRIMARY)
        ON v.slot = IF(j.tbl IN ('liker', 'comment'), f.slot, NULL)
       AND v.video_id = j.owner
      LEFT JOIN follow AS fo FORCE INDEX (PRIMARY)
        ON fo.slot = IF(j.tbl = 'follow', f.slot, NULL)
       AND fo.user_id = j.owner
       AND fo.followed_id = j.other
      LEFT JOIN follower AS fr FORCE INDEX (PRIMARY)
        ON fr.slot = IF(j.tbl = 'follower', f.slot, NULL)
       AND fr.user_id = j.owner
       AND fr.follower_id = j.other
      LEFT JOIN favorite AS fa FORCE INDEX (PRIMARY)
        ON fa.slot = IF(j.tbl = 'favorite', f.slot, NULL)
       AND fa.user_id = j.owner
       AND fa.video_id = j.other
      LEFT JOIN liker AS li FORCE INDEX (PRIMARY)
        ON li.slot = IF(j.tbl = 'liker', f.slot, NULL)
       AND li.video_id = j.owner
       AND li.user_id = j.other
      LEFT JOIN comment AS co FORCE INDEX (PRIMARY)
        ON co.slot = IF(j.tbl = 'comment', f.slot, NULL)
       AND co.video_id = j.owner
       AND co.author_id = j.other
       AND co.comment_id = j.seq
      LEFT JOIN commented AS cd FORCE INDEX (PRIMARY)
        ON cd.slot = IF(j.tbl = 'commented', f.slot, NULL)
       AND cd.user_id = j.owner
       AND cd.video_id = j.other
       AND cd.comment_id = j.seq
      LEFT JOIN message AS me FORCE INDEX (seq)
        ON me.slot = IF(j.tbl IN ('sent', 'received'), f.slot, NULL)
       AND me.user_id = j.owner
       AND me.peer_id = j.other
       AND me.sent = IF(j.tbl = 'sent', 1, 0)
       AND me.seq = j.seq
     WHERE h.owner_id IS NULL
     ORDER BY j.n;

    IF FOUND_ROWS() < JSON_LENGTH(in_ops) THEN
        CALL _op_refusals(in_ops);
    END IF;
END$$

DELIMITER ;
