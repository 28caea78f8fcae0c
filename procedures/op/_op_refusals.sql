-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _op_refusals: where to go with operations that a reading routine did not serve.
--
-- in_ops  the batch of the reader, checked by it; of a reader of one owner a batch of one
--
-- A reader answers the owners that this shard serves, and calls this if there are fewer rows
-- than owners. Answers all of the batch: the caller takes the first row of each operation. A slot
-- that this shard serves by now, because it has just arrived, is answered notready.
--
-- Answer  : n, code, slot, epoch, server
-- Touches : SELECT, INSERT, DELETE op (the session's own); see _op_judge
-- Errors  : 45400 no such array
-- Replays : nothing stays

DROP PROCEDURE IF EXISTS _op_refusals;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _op_refusals (
    IN in_ops JSON
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: where to go with operations that are refused'
BEGIN
    CALL _op_begin(in_ops);

    INSERT INTO op (n, slot, epoch, owner, user_id)
    SELECT j.n,
           j.slot,
           j.epoch,
           j.owner,
           0
      FROM JSON_TABLE(in_ops, '$[*]' COLUMNS (
               n     FOR ORDINALITY,
               slot  INT UNSIGNED PATH '$.slot',
               epoch BIGINT UNSIGNED PATH '$.epoch',
               owner BIGINT UNSIGNED PATH '$.owner'
           )) AS j;

    CALL _op_judge();

    SELECT o.n,
           IF(o.code = 'ok', 'notready', o.code) AS code,
           o.slot,
           o.epoch,
           o.server
      FROM op AS o;
END$$

DELIMITER ;
