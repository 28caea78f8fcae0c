-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- move_load: how busy this shard is, for a mover that is to leave it room.
--
-- Answer  : threads_running (statements under way, this one among them)
-- Touches : SELECT information_schema.global_status (MariaDB), performance_schema.global_status
--           (MySQL)
-- Errors  : none
-- Replays : reads only

DROP PROCEDURE IF EXISTS move_load;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE move_load ()
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v1: how busy this shard is'
BEGIN
    SELECT CAST(s.variable_value AS UNSIGNED) AS threads_running
      FROM /*M!100000 information_schema.global_status */
           /*!80000 performance_schema.global_status */ AS s
     WHERE s.variable_name = 'THREADS_RUNNING';
END$$

DELIMITER ;
