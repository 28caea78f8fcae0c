-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _move_keys: add keys to move_key.
--
-- in_keys  JSON array of them, each [k1, k2, k3, hex of ks]
--
-- Touches : INSERT move_key
-- Errors  : none
-- Replays : adds them again

DROP PROCEDURE IF EXISTS _move_keys;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _move_keys (
    IN in_keys LONGTEXT
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: keys of a batch'
BEGIN
    INSERT INTO move_key (k1, k2, k3, ks)
    SELECT j.k1,
           j.k2,
           j.k3,
           UNHEX(j.ks)
      FROM JSON_TABLE(in_keys, '$[*]' COLUMNS (
               k1 BIGINT UNSIGNED PATH '$[0]',
               k2 BIGINT UNSIGNED PATH '$[1]',
               k3 BIGINT UNSIGNED PATH '$[2]',
               ks VARCHAR(256) PATH '$[3]'
           )) AS j;
END$$

DELIMITER ;
