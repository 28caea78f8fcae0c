-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- routine_list: the public routines of this shard, their versions and the oldest that they serve.
--
-- A routine says so in its comment: 'v3 serves v2: ..' is version 3 and works for callers that
-- were written for version 2, too; 'v3: ..' for those of version 3 alone. A caller asks this before
-- anything except conn_open: the columns of these two stay for ever.
--
-- Beside them _install_fingerprint, the mark that scripts/migrate has loaded all of them: it is
-- missing while that runs, and after an interrupted run.
--
-- Answer  : name, version, serves (oldest version whose callers it serves)
-- Touches : SELECT information_schema.routines
-- Errors  : none
-- Replays : reads only

DROP PROCEDURE IF EXISTS routine_list;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE routine_list ()
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v3: public routines and whom they serve'
BEGIN
    SELECT r.routine_name AS name,
           CAST(SUBSTRING(SUBSTRING_INDEX(SUBSTRING_INDEX(r.routine_comment, ':', 1), ' ', 1), 2)
                AS UNSIGNED) AS version,
           CAST(SUBSTRING(SUBSTRING_INDEX(SUBSTRING_INDEX(r.routine_comment, ':', 1), ' ', -1), 2)
                AS UNSIGNED) AS serves
      FROM information_schema.routines AS r
     WHERE r.routine_schema = 'doushard'
       AND ((r.routine_type = 'PROCEDURE' AND LEFT(r.routine_name, 1) <> '_')
            OR r.routine_name = '_install_fingerprint')
       AND LEFT(r.routine_comment, 1) = 'v'
       AND LOCATE(':', r.routine_comment) > 2
     ORDER BY r.routine_name;
END$$

DELIMITER ;
