-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _move_count: how many rows of one table a slot has.
--
-- in_slot    the slot
-- in_tbl     the table
-- out_count  rows
--
-- Written by scripts/move-tables.
--
-- Touches : SELECT the table (by slot)
-- Errors  : 1339 (case not found) there is no such table
-- Replays : reads only

DROP PROCEDURE IF EXISTS _move_count;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _move_count (
    IN  in_slot   INT UNSIGNED,
    IN  in_tbl    VARCHAR(16),
    OUT out_count BIGINT
)
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v1: rows of a slot'
BEGIN
    CASE in_tbl
        WHEN 'account' THEN
            SELECT COUNT(*)
              INTO out_count
              FROM account AS t FORCE INDEX (PRIMARY)
             WHERE t.slot = in_slot;
        WHEN 'owner_home' THEN
            SELECT COUNT(*)
              INTO out_count
              FROM owner_home AS t FORCE INDEX (PRIMARY)
             WHERE t.slot = in_slot;
        WHEN 'user' THEN
            SELECT COUNT(*)
              INTO out_count
              FROM user AS t FORCE INDEX (PRIMARY)
             WHERE t.slot = in_slot;
        WHEN 'inbound' THEN
            SELECT COUNT(*)
              INTO out_count
              FROM inbound AS t FORCE INDEX (PRIMARY)
             WHERE t.slot = in_slot;
        WHEN 'session' THEN
            SELECT COUNT(*)
              INTO out_count
              FROM session AS t FORCE INDEX (PRIMARY)
             WHERE t.slot = in_slot;
        WHEN 'video' THEN
            SELECT COUNT(*)
              INTO out_count
              FROM video AS t FORCE INDEX (PRIMARY)
             WHERE t.slot = in_slot;
        WHEN 'job' THEN
            SELECT COUNT(*)
              INTO out_count
              FROM job AS t FORCE INDEX (PRIMARY)
             WHERE t.slot = in_slot;
        WHEN 'follow' THEN
            SELECT COUNT(*)
              INTO out_count
              FROM follow AS t FORCE INDEX (PRIMARY)
             WHERE t.slot = in_slot;
        WHEN 'follower' THEN
            SELECT COUNT(*)
              INTO out_count
              FROM follower AS t FORCE INDEX (PRIMARY)
             WHERE t.slot = in_slot;
        WHEN 'favorite' THEN
            SELECT COUNT(*)
              INTO out_count
              FROM favorite AS t FORCE INDEX (PRIMARY)
             WHERE t.slot = in_slot;
        WHEN 'liker' THEN
            SELECT COUNT(*)
              INTO out_count
              FROM liker AS t FORCE INDEX (PRIMARY)
             WHERE t.slot = in_slot;
        WHEN 'comment' THEN
            SELECT COUNT(*)
              INTO out_count
              FROM comment AS t FORCE INDEX (PRIMARY)
             WHERE t.slot = in_slot;
        WHEN 'commented' THEN
            SELECT COUNT(*)
              INTO out_count
              FROM commented AS t FORCE INDEX (PRIMARY)
             WHERE t.slot = in_slot;
        WHEN 'chat' THEN
            SELECT COUNT(*)
              INTO out_count
              FROM chat AS t FORCE INDEX (PRIMARY)
             WHERE t.slot = in_slot;
        WHEN 'message' THEN
            SELECT COUNT(*)
              INTO out_count
              FROM message AS t FORCE INDEX (PRIMARY)
             WHERE t.slot = in_slot;
        WHEN 'outbox' THEN
            SELECT COUNT(*)
              INTO out_count
              FROM outbox AS t FORCE INDEX (PRIMARY)
             WHERE t.slot = in_slot;
        WHEN 'idem' THEN
            SELECT COUNT(*)
              INTO out_count
              FROM idem AS t FORCE INDEX (PRIMARY)
             WHERE t.slot = in_slot;
    END CASE;
END$$

DELIMITER ;
