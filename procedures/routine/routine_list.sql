-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- routine_list: the public routines of this shard and their versions.
--
-- Beside them _install_fingerprint, the mark that scripts/migrate has loaded all of them: it is
-- missing while that runs, and where it was broken off.
--
-- Answer  : name, version
-- Touches : SELECT information_schema.routines
-- Errors  : none
-- Replays : reads only

DROP PROCEDURE IF EXISTS routine_list;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE routine_list ()
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v2: public routines and their versions'
BEGIN
    SELECT r.routine_name AS name,
           CAST(SUBSTRING(r.routine_comment, 2, LOCATE(':', r.routine_comment) - 2)
                AS UNSIGNED) AS version
      FROM information_schema.routines AS r
     WHERE r.routine_schema = 'doushard'
       AND ((r.routine_type = 'PROCEDURE' AND LEFT(r.routine_name, 1) <> '_')
            OR r.routine_name = '_install_fingerprint')
       AND LEFT(r.routine_comment, 1) = 'v'
       AND LOCATE(':', r.routine_comment) > 2
     ORDER BY r.routine_name;
END$$

DELIMITER ;
