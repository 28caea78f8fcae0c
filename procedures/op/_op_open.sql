-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _op_open: begin a batch of writes of which only the owners are read at first.
--
-- in_ops  array of 1 to 256 objects, at most 262144 bytes; each has the unsigned integers
--         slot, epoch (what the router believes) and owner, and they come in the order
--         (slot, owner), which is the order in which locks are taken
--
-- Fills op with n, slot, epoch and owner of every operation; user_id is the owner, code is ok.
-- Runs before START TRANSACTION.
--
-- Touches : INSERT op (the session's own)
-- Errors  : 45400 no such array, or an operation in it is malformed or out of order
-- Replays : nothing stays

DROP PROCEDURE IF EXISTS _op_open;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _op_open (
    IN in_ops JSON
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v2: read a batch into the table op'
BEGIN
    CALL _op_begin(in_ops);

    INSERT INTO op (n, slot, epoch, owner, user_id)
    SELECT j.n,
           j.slot,
           j.epoch,
           j.owner,
           j.owner
      FROM JSON_TABLE(in_ops, '$[*]' COLUMNS (
               n          FOR ORDINALITY,
               slot       INT UNSIGNED PATH '$.slot',
               slot_text  VARCHAR(24) PATH '$.slot',
               epoch      BIGINT UNSIGNED PATH '$.epoch',
               epoch_text VARCHAR(24) PATH '$.epoch',
               owner      BIGINT UNSIGNED PATH '$.owner',
               owner_text VARCHAR(24) PATH '$.owner'
           )) AS j
     WHERE CONCAT(j.slot, ',', j.epoch, ',', j.owner)
           = CONCAT(j.slot_text, ',', j.epoch_text, ',', j.owner_text);

    CALL _op_opened(in_ops, ROW_COUNT(), 'unsigned integers slot, epoch and owner');
END$$

DELIMITER ;
