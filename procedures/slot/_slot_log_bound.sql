-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _slot_log_bound: limit the journals of a batch's slots: delay writes, or end a journal that is
-- too long.
--
-- No journal grows without bound. While its entries arrive at the other shard, writes are told to
-- wait ("busy"), more of them the longer it is, so that the move or the rollback can finish:
--
--   what the mover does                        entries: none waits up to   all wait from
--   copying, verifying                                            10,000          20,000
--   draining, flipping; all of the way back                          200             400
--
-- In the second line the mover goes on when it has read fewer than 500 entries at a time
-- (shard/move_copy.c): however many write, it comes to that.
--
-- If nothing has arrived for some seconds (the mover died, or the other shard is down or full)
-- writes do not wait; at 200,000 entries the journal is given up (slot_lost), and the next mover
-- begins again: this costs its work, not the service. Nor do writes wait for a rollback that was
-- not requested (owned).
--
-- Touches : SELECT, UPDATE op; SELECT slot_log, slot_move, slot_import, slot_fence (by slot);
--           SELECT, INSERT slot_lost
-- Errors  : none
-- Replays : the same

DROP PROCEDURE IF EXISTS _slot_log_bound;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _slot_log_bound ()
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: bound the journals of a batch'
BEGIN
    DECLARE v_slot INT UNSIGNED;
    DECLARE v_span BIGINT;
    DECLARE v_read TINYINT;
    DECLARE v_lost TINYINT;
    DECLARE v_full TINYINT;
    DECLARE v_late BIGINT DEFAULT _now_ms() - 5000;

    SELECT MIN(o.slot)
      INTO v_slot
      FROM op AS o
     WHERE o.code = 'ok'
       AND o.moving = 1;

    WHILE v_slot IS NOT NULL DO
        -- An upper limit: numbers of other slots may be in between.
        SELECT COALESCE(MAX(l.id) - MIN(l.id), 0)
          INTO v_span
          FROM slot_log AS l FORCE INDEX (drain)
         WHERE l.slot = v_slot;

        -- Of the move that was asked for here; NULL: there is none.
        SELECT MAX(IF(m.flipped_at IS NULL AND m.drained_at > v_late,
                      IF(m.phase IN ('draining', 'flipping'), 2, 1), 0))
          INTO v_read
          FROM slot_move AS m
         WHERE m.active = v_slot;

        IF v_read IS NULL THEN
            SELECT COALESCE(MAX(2), 0)
              INTO v_read
              FROM slot_import AS i
             STRAIGHT_JOIN slot_fence AS f
                ON f.slot = i.slot
               AND f.state = 'migrating'
             WHERE i.slot = v_slot
               AND i.drained_at > v_late;
        END IF;

        SELECT COUNT(*)
          INTO v_lost
          FROM slot_lost AS x
         WHERE x.slot = v_slot
           AND v_span > 100;

        SET v_full = 0;

        -- How many of them are of this slot takes long to count: one batch of 50 does it.
        IF v_read = 0 AND v_lost = 0 AND v_span >= 200000 AND RAND() < 0.02 THEN
            SELECT COUNT(*)
              INTO v_full
              FROM (SELECT l.id
                      FROM slot_log AS l FORCE INDEX (drain)
                     WHERE l.slot = v_slot
                     ORDER BY l.id
                     LIMIT 1 OFFSET 200000) AS f;
        END IF;

        IF v_read > 0 AND v_lost = 0 THEN
            UPDATE op AS o
               SET o.code = 'busy'
             WHERE o.slot = v_slot
               AND o.code = 'ok'
               AND RAND() < IF(v_read = 2, (v_span - 200) / 200, (v_span - 10000) / 10000);
        ELSEIF v_lost > 0 OR v_full = 1 THEN
            INSERT INTO slot_lost (slot, at)
            VALUES (v_slot, _now_ms())
                ON DUPLICATE KEY UPDATE
                   at = slot_lost.at;

            UPDATE op AS o
               SET o.moving = 0
             WHERE o.slot = v_slot
               AND o.moving = 1;
        END IF;

        SELECT MIN(o.slot)
          INTO v_slot
          FROM op AS o
         WHERE o.code = 'ok'
           AND o.moving = 1
           AND o.slot > v_slot;
    END WHILE;
END$$

DELIMITER ;
