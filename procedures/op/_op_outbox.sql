-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _op_outbox: read the names of outbox rows out of a batch.
--
-- in_ops  the batch that _op_open has put into op; each operation has
--           kind    follow, favorite, comment or message
--           target  owner of the second half
--           seq     number of the message, id of the comment; 0 for edges
--           ver     version
--
-- Before START TRANSACTION. Fills op.kind, target, seq and ver.
--
-- Touches : SELECT, UPDATE op
-- Errors  : 45400 an operation is malformed, or there are two on one row
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
    DECLARE v_n INT;

    UPDATE JSON_TABLE(in_ops, '$[*]' COLUMNS (
               n      FOR ORDINALITY,
               kind   VARCHAR(16) PATH '$.kind',
               target BIGINT UNSIGNED PATH '$.target',
               seq    VARCHAR(24) PATH '$.seq',
               ver    BIGINT UNSIGNED PATH '$.ver'
           )) AS j
     STRAIGHT_JOIN op AS o
        ON o.n = j.n
       SET o.kind   = IF(j.kind IN ('follow', 'favorite', 'comment', 'message'), j.kind, ''),
           o.target = COALESCE(j.target, 0),
           o.seq    = IF(j.seq REGEXP '^(0|[1-9][0-9]{0,18})$', j.seq, 0),
           o.ver    = IF(j.seq REGEXP '^(0|[1-9][0-9]{0,18})$', COALESCE(j.ver, 0), 0);

    SELECT MIN(o.n)
      INTO v_n
      FROM op AS o
     WHERE o.owner = 0
        OR o.kind = ''
        OR o.target = 0
        OR o.ver = 0
        OR (o.seq = 0) <> (o.kind IN ('follow', 'favorite'));

    CALL _op_refuse(v_n, 'owner, kind, target, seq (0 for follow and favorite) and ver');
    CALL _op_distinct();
END$$

DELIMITER ;
