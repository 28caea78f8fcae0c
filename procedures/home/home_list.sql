-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- home_list: a page of the users and videos in own slots of this shard, for a shard that has lost
-- their forwarding entries.
--
-- in_slot   slots behind this one, or
-- in_after  in this one, users and videos behind this; both 0: from the first one
-- in_limit  at most so many, 1 to 1000
--
-- An own slot whose owner came back (gone) has one line with owner_id 0.
--
-- Answer  : slot, owner_id, author_id (0: it is a user), op (hexadecimal; empty: none)
-- Touches : SELECT slot_fence, user, video (by slot and id)
-- Errors  : 45400 an argument is NULL or out of range
-- Replays : reads only

DROP PROCEDURE IF EXISTS home_list;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE home_list (
    IN in_slot  INT UNSIGNED,
    IN in_after BIGINT UNSIGNED,
    IN in_limit INT
)
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v1: who is in own slots'
BEGIN
    IF NOT COALESCE(in_slot >= 0
                    AND in_after >= 0
                    AND in_limit BETWEEN 1 AND 1000, FALSE) THEN
        SIGNAL SQLSTATE '45400' SET MESSAGE_TEXT = 'home_list needs slot, owner, limit 1 to 1000';
    END IF;

    SELECT t.slot,
           t.owner_id,
           t.author_id,
           t.op
      FROM (SELECT f.slot,
                   0 AS owner_id,
                   0 AS author_id,
                   '' AS op
              FROM slot_fence AS f FORCE INDEX (PRIMARY)
             WHERE f.slot >= GREATEST(1024, in_slot)
               AND f.state = 'gone'
             UNION ALL
            SELECT u.slot,
                   u.user_id,
                   0,
                   ''
              FROM slot_fence AS f FORCE INDEX (PRIMARY)
             STRAIGHT_JOIN user AS u FORCE INDEX (PRIMARY)
                ON u.slot = f.slot
             WHERE f.slot >= GREATEST(1024, in_slot)
               AND f.state IN ('owned', 'migrating', 'importing', 'ready')
               AND f.heard_epoch <= f.epoch
               AND f.rival_epoch < f.epoch
             UNION ALL
            SELECT v.slot,
                   v.video_id,
                   v.author_id,
                   HEX(v.op)
              FROM slot_fence AS f FORCE INDEX (PRIMARY)
             STRAIGHT_JOIN video AS v FORCE INDEX (PRIMARY)
                ON v.slot = f.slot
             WHERE f.slot >= GREATEST(1024, in_slot)
               AND f.state IN ('owned', 'migrating', 'importing', 'ready')
               AND f.heard_epoch <= f.epoch
               AND f.rival_epoch < f.epoch) AS t
     WHERE t.slot > in_slot
        OR t.owner_id > in_after
     ORDER BY t.slot,
              t.owner_id
     LIMIT in_limit;
END$$

DELIMITER ;
