-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _op_texts: keep the texts of a batch: they are too wide for every row of op.
--
-- in_ops  the batch, which _op_opened has found good; each operation has
--           text  at most 1000 characters
--
-- Touches : DELETE, INSERT op_text (the session's own)
-- Errors  : none
-- Replays : nothing stays

DROP PROCEDURE IF EXISTS _op_texts;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _op_texts (
    IN in_ops JSON
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: keep the texts of a batch'
BEGIN
    DELETE FROM op_text;

    INSERT INTO op_text (n, text)
    SELECT j.n,
           j.text
      FROM JSON_TABLE(in_ops, '$[*]' COLUMNS (
               n    FOR ORDINALITY,
               text VARCHAR(1000) PATH '$.text'
           )) AS j;
END$$

DELIMITER ;
