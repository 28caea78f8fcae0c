-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _op_judge: decide for each operation of a batch whether this shard may do it, or where else to
-- go.
--
-- Sets op.code: ok where this shard owns the slot, at no older epoch than the caller believes,
-- and the owner has not left it; else moved or notready. An own slot whose owner came back (gone)
-- refers to the slot of his id. The one place that makes refusals, for writers, whose fences are
-- locked, and for readers, about owners not served. On a refused shard only the operator may go on
-- (_shard_open).
--
-- Touches : SELECT shard_self; SELECT slot_fence (by slot), owner_home (by slot and owner, where
--           the fence says that there are any), slot_known (by slot, where the answer is moved);
--           UPDATE op
-- Errors  : none
-- Replays : nothing stays

DROP PROCEDURE IF EXISTS _op_judge;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _op_judge ()
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v2: judge the operations of a batch'
BEGIN
    DECLARE v_open TINYINT DEFAULT _shard_open();

    -- op.epoch is what the caller believes until it is set here, after what depends on it.
    UPDATE op AS o
      LEFT JOIN slot_fence AS f FORCE INDEX (PRIMARY)
        ON f.slot = o.slot
      LEFT JOIN owner_home AS h FORCE INDEX (PRIMARY)
        ON h.slot = IF(f.has_home = 1 AND f.epoch >= o.epoch
                       AND (f.answer = 'ok' OR (v_open AND f.answer = 'notready'
                                                AND f.state IN ('owned', 'migrating'))),
                       f.slot, NULL)
       AND h.owner_id = o.owner
      LEFT JOIN slot_known AS k FORCE INDEX (PRIMARY)
        ON k.slot = CASE WHEN h.own_slot IS NOT NULL
                         THEN h.own_slot
                         WHEN f.state = 'gone' AND o.owner > 0
                         THEN (o.owner DIV 8) MOD 1024
                         WHEN f.answer = 'ok' AND f.epoch >= o.epoch
                         THEN NULL
                         ELSE o.slot
                    END
       SET o.code   = CASE WHEN f.slot IS NULL OR f.epoch < o.epoch OR h.own_slot IS NOT NULL
                           THEN 'moved'
                           WHEN v_open AND f.answer = 'notready'
                                AND f.state IN ('owned', 'migrating')
                           THEN 'ok'
                           ELSE f.answer
                      END,
           o.moving = COALESCE(f.state = 'migrating' OR f.journal = 1, 0),
           o.server = CASE WHEN h.own_slot IS NOT NULL OR (f.state = 'gone' AND o.owner > 0)
                             OR COALESCE(k.epoch > f.epoch, f.slot IS NULL)
                           THEN COALESCE(k.server, '')
                           ELSE f.server
                      END,
           o.epoch  = CASE WHEN h.own_slot IS NOT NULL OR (f.state = 'gone' AND o.owner > 0)
                           THEN COALESCE(k.epoch, 0)
                           ELSE GREATEST(COALESCE(f.epoch, 0), COALESCE(k.epoch, 0))
                      END,
           o.slot   = CASE WHEN h.own_slot IS NOT NULL
                           THEN h.own_slot
                           WHEN f.state = 'gone' AND o.owner > 0
                           THEN (o.owner DIV 8) MOD 1024
                           ELSE o.slot
                      END;
END$$

DELIMITER ;
