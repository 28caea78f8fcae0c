-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _op_exact: check a batch in op whose text is not what op has, number by number.
--
-- in_ops     the array
-- in_fields  the numbers that an operation has beside slot, epoch and owner, of target, actor,
--            seq, state, ver and at; comma-separated; target_slot: and target_epoch, which may both
--            be missing
-- in_text    what each operation must be, at most 100 characters
--
-- What is not in op was found malformed already.
--
-- Touches : SELECT op; see _op_opened
-- Errors  : 45400 no such array, an operation is malformed or out of order, or two are about one
--           edge or outbox row
-- Replays : nothing stays

DROP PROCEDURE IF EXISTS _op_exact;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _op_exact (
    IN in_ops    JSON,
    IN in_fields VARCHAR(64),
    IN in_text   VARCHAR(100)
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: check the numbers of a batch one by one'
BEGIN
    DECLARE v_bad   INT;
    DECLARE v_count INT;

    CALL _op_size(in_ops);

    SELECT MIN(j.n)
      INTO v_bad
      FROM JSON_TABLE(in_ops, '$[*]' COLUMNS (
               n            FOR ORDINALITY,
               slot         VARCHAR(24) PATH '$.slot',
               epoch        VARCHAR(24) PATH '$.epoch',
               owner        VARCHAR(24) PATH '$.owner',
               target       VARCHAR(24) PATH '$.target',
               actor        VARCHAR(24) PATH '$.actor',
               seq          VARCHAR(24) PATH '$.seq',
               state        VARCHAR(24) PATH '$.state',
               ver          VARCHAR(24) PATH '$.ver',
               at           VARCHAR(24) PATH '$.at',
               target_slot  VARCHAR(24) PATH '$.target_slot',
               target_epoch VARCHAR(24) PATH '$.target_epoch'
           )) AS j
      LEFT JOIN op AS o
        ON o.n = j.n
     WHERE NOT COALESCE(CAST(o.slot AS CHAR) = j.slot
                        AND CAST(o.epoch AS CHAR) = j.epoch
                        AND CAST(o.owner AS CHAR) = j.owner
                        AND (FIND_IN_SET('target', in_fields) = 0
                             OR CAST(o.target AS CHAR) = j.target)
                        AND (FIND_IN_SET('actor', in_fields) = 0
                             OR CAST(o.target AS CHAR) = j.actor)
                        AND (FIND_IN_SET('seq', in_fields) = 0
                             OR CAST(o.seq AS CHAR) = j.seq)
                        AND (FIND_IN_SET('state', in_fields) = 0
                             OR CAST(o.state AS CHAR) = j.state)
                        AND (FIND_IN_SET('ver', in_fields) = 0
                             OR CAST(o.ver AS CHAR) = j.ver)
                        AND (FIND_IN_SET('at', in_fields) = 0
                             OR CAST(o.at AS CHAR) = j.at)
                        AND (FIND_IN_SET('target_slot', in_fields) = 0
                             OR (j.target_slot IS NULL AND j.target_epoch IS NULL)
                             OR (CAST(o.id AS CHAR) = j.target_slot
                                 AND CAST(o.prev AS CHAR) = j.target_epoch)), FALSE);

    CALL _op_refuse(v_bad, in_text);

    SELECT COUNT(*)
      INTO v_count
      FROM op AS o;

    CALL _op_opened(in_ops, v_count, in_text);
END$$

DELIMITER ;
