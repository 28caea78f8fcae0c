-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _op_outbox_check: does every operation of a batch name an outbox row?
--
-- in_ops  the batch that _op_open has checked
--
-- Touches : nothing
-- Errors  : 45400 an operation is malformed
-- Replays : reads only

DROP PROCEDURE IF EXISTS _op_outbox_check;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _op_outbox_check (
    IN in_ops JSON
)
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v1: check the names of outbox rows'
BEGIN
    DECLARE v_n INT;

    SELECT MIN(j.n)
      INTO v_n
      FROM JSON_TABLE(in_ops, '$[*]' COLUMNS (
               n      FOR ORDINALITY,
               owner  VARCHAR(24) PATH '$.owner',
               kind   VARCHAR(17) PATH '$.kind',
               target VARCHAR(24) PATH '$.target',
               seq    VARCHAR(24) PATH '$.seq',
               ver    VARCHAR(24) PATH '$.ver'
           )) AS j
     WHERE NOT COALESCE(j.owner <> '0'
                        AND j.kind IN ('follow', 'favorite', 'comment', 'message')
                        AND CAST(CAST(j.target AS UNSIGNED) AS CHAR) = j.target
                        AND j.target <> '0'
                        AND CAST(CAST(j.seq AS UNSIGNED) AS CHAR) = j.seq
                        AND (j.seq <> '0') = (j.kind IN ('comment', 'message'))
                        AND CAST(CAST(j.ver AS UNSIGNED) AS CHAR) = j.ver
                        AND j.ver <> '0', FALSE);

    CALL _op_refuse(v_n, 'owner, kind, target, seq (0 for follow and favorite) and ver');
END$$

DELIMITER ;
