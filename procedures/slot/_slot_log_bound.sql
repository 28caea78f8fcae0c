-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _slot_log_bound: what becomes of the writes of a batch whose slots are journaled, when a journal
-- is long.
--
-- No journal grows without bound. While a mover reads it, writes are told to wait ("busy", more of
-- them the longer it is), until it is shorter: so the move comes to its end. If nobody reads it, it
-- ends (slot_lost), and the next mover begins anew: a mover that died costs its work, not the
-- service.
--
-- Touches : SELECT, UPDATE op; SELECT slot_log, slot_move (by slot); INSERT slot_lost
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

    SELECT MIN(o.slot)
      INTO v_slot
      FROM op AS o
     WHERE o.code = 'ok'
       AND o.moving = 1;

    WHILE v_slot IS NOT NULL DO
        -- No fewer than there are: numbers of other slots may lie between.
        SELECT COALESCE(MAX(l.id) - MIN(l.id), 0)
          INTO v_span
          FROM slot_log AS l FORCE INDEX (drain)
         WHERE l.slot = v_slot;

        -- A flip waits for a journal of some entries, so that writers make room for it then.
        SELECT COALESCE(MAX(IF(m.phase = 'flipping', 2, 1)), 0)
          INTO v_read
          FROM slot_move AS m
         WHERE m.active = v_slot
           AND m.flipped_at IS NULL
           AND m.claimed_until > _now_ms()
           AND v_span > 100;

        IF v_read > 0 THEN
            UPDATE op AS o
               SET o.code = 'busy'
             WHERE o.slot = v_slot
               AND o.code = 'ok'
               AND RAND() < IF(v_read = 2, LEAST(v_span / 1000, 0.9),
                               LEAST((v_span - 10000) / 10000, 0.9));
        ELSEIF v_span > 200000 THEN
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
