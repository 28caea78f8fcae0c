-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _op_fences: _op_fence for edges of which this shard may make both halves.
--
-- out_moving  1: a slot of an owner is moving, and its writes must be journaled
-- out_there   1: op_there is empty, and some operations may make both halves
--
-- op.id and op.prev are slot and epoch of the target, as the caller believes; prev 0: it is
-- elsewhere. prev becomes 0 unless owner and target are both here at exactly that epoch and not
-- moving: then the outbox delivers the second half. All fences, those of owners and of targets, are
-- locked together in the order of slots.
--
-- Touches : SELECT slot_fence (by slot, share lock); SELECT, UPDATE op; DELETE op_there (the
--           session's own); see _op_fence, _op_judge
-- Errors  : none
-- Replays : nothing stays

DROP PROCEDURE IF EXISTS _op_fences;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _op_fences (
    OUT out_moving TINYINT,
    OUT out_there  TINYINT
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: lock the fences of both halves of edges'
BEGIN
    DECLARE v_plain TINYINT;

    SET out_moving = 0;

    SELECT COUNT(*) > 0
      INTO out_there
      FROM op AS o
     WHERE o.prev > 0;

    IF NOT out_there THEN
        CALL _op_fence(out_moving);
    ELSE
        BEGIN
            -- The first such batch of this session.
            DECLARE e_no_such_table CONDITION FOR 1146;
            DECLARE CONTINUE HANDLER FOR e_no_such_table CALL _op_there_table();

            DELETE FROM op_there;
        END;

        SELECT MIN(COALESCE(f.answer = 'ok'
                            AND f.epoch = w.epoch
                            AND f.has_home = 0
                            AND f.state <> 'migrating'
                            AND f.journal = 0, 0))
          INTO v_plain
          FROM (SELECT DISTINCT
                       IF(s.side = 0, o.slot, o.id) AS slot,
                       IF(s.side = 0, o.epoch, o.prev) AS epoch
                  FROM op AS o
                 STRAIGHT_JOIN (SELECT 0 AS side UNION ALL SELECT 1 AS side) AS s
                 WHERE s.side = 0
                    OR o.prev > 0
                 ORDER BY slot
                 LIMIT 512) AS w
          LEFT JOIN slot_fence AS f FORCE INDEX (PRIMARY)
            ON f.slot = w.slot
          LOCK IN SHARE MODE;

        IF v_plain = 0 THEN
            CALL _op_judge();

            CALL _slot_log_bound();

            UPDATE op AS o
              LEFT JOIN slot_fence AS f FORCE INDEX (PRIMARY)
                ON f.slot = o.id
               AND f.epoch = o.prev
               AND f.answer = 'ok'
               AND f.has_home = 0
               AND f.state <> 'migrating'
               AND f.journal = 0
               SET o.prev = 0
             WHERE f.slot IS NULL
                OR o.moving = 1
                OR o.code <> 'ok';

            SELECT MAX(o.moving),
                   MAX(o.prev > 0)
              INTO out_moving,
                   out_there
              FROM op AS o
             WHERE o.code = 'ok';

            SET out_there = COALESCE(out_there, 0);
        END IF;
    END IF;
END$$

DELIMITER ;
