-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _op_check: is the argument of a batch routine a batch?
--
-- in_ops     array of 1 to 256 objects, at most 262144 bytes; each has the unsigned
--            integers slot, epoch (what the router believes) and owner
-- in_sorted  1: they must also come in the order (slot, owner), which is the order in
--            which locks are taken
--
-- Touches : nothing
-- Errors  : 45400 no such array, or an operation in it is malformed or out of order
-- Replays : reads only

DROP PROCEDURE IF EXISTS _op_check;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _op_check (
    IN in_ops    JSON,
    IN in_sorted TINYINT
)
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v1: check shape, size and order of a batch'
BEGIN
    DECLARE v_bad INT;

    IF NOT COALESCE(LENGTH(in_ops) <= 262144
                    AND JSON_TYPE(in_ops) = 'ARRAY'
                    AND JSON_LENGTH(in_ops) BETWEEN 1 AND 256, FALSE) THEN
        SIGNAL SQLSTATE '45400'
           SET MESSAGE_TEXT = 'in_ops needs 1 to 256 operations, at most 262144 bytes';
    END IF;

    -- Read as text and compared with what the number prints as: JSON_TABLE of MariaDB
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

    IF in_sorted AND JSON_LENGTH(in_ops) > 1 THEN
        SELECT MIN(t.n)
          INTO v_bad
          FROM (SELECT j.n,
                       j.slot,
                       j.owner,
                       LAG(j.slot) OVER (ORDER BY j.n) AS slot_before,
                       LAG(j.owner) OVER (ORDER BY j.n) AS owner_before
                  FROM JSON_TABLE(in_ops, '$[*]' COLUMNS (
                           n     FOR ORDINALITY,
                           slot  INT UNSIGNED PATH '$.slot',
                           owner BIGINT UNSIGNED PATH '$.owner'
                       )) AS j) AS t
         WHERE t.slot < t.slot_before
            OR (t.slot = t.slot_before AND t.owner < t.owner_before);

        CALL _op_refuse(v_bad, 'a place after the one before it: order is (slot, owner)');
    END IF;
END$$

DELIMITER ;
