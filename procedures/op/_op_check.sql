-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _op_check: is the argument of a reading batch routine a batch?
--
-- in_ops  array of 1 to 256 objects, at most 262144 bytes, in any order; each has the
--         unsigned integers slot, epoch (what the router believes) and owner
--
-- Touches : nothing
-- Errors  : 45400 no such array, or an operation in it is malformed
-- Replays : reads only

DROP PROCEDURE IF EXISTS _op_check;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _op_check (
    IN in_ops JSON
)
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v2: check shape and size of a batch'
BEGIN
    DECLARE v_bad INT;

    CALL _op_size(in_ops);

    -- Read as text and compared with the number as text: JSON_TABLE of MariaDB
    -- silently makes 0 of a word, of -1 and the largest number of a too large one.
    SELECT MIN(j.n)
      INTO v_bad
      FROM JSON_TABLE(in_ops, '$[*]' COLUMNS (
               n     FOR ORDINALITY,
               slot  VARCHAR(24) PATH '$.slot',
               epoch VARCHAR(24) PATH '$.epoch',
               owner VARCHAR(24) PATH '$.owner'
           )) AS j
     WHERE NOT COALESCE(CAST(CAST(j.slot AS UNSIGNED) AS CHAR) = j.slot
                        AND CAST(j.slot AS UNSIGNED) <= 4294967295
                        AND CAST(CAST(j.epoch AS UNSIGNED) AS CHAR) = j.epoch
                        AND CAST(CAST(j.owner AS UNSIGNED) AS CHAR) = j.owner, FALSE);

    CALL _op_refuse(v_bad, 'unsigned integers slot, epoch and owner');
END$$

DELIMITER ;
