-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _op_outbox_lock: lock the outbox rows of a batch, in the order of their key.
--
-- op.owner, kind, target, seq and ver name the row and its version; operations whose row is
-- gone, or has another version by now, end with same. Last in the order of locks.
--
-- Touches : SELECT outbox (by key, FOR UPDATE); SELECT, UPDATE op
-- Errors  : none
-- Replays : nothing stays

DROP PROCEDURE IF EXISTS _op_outbox_lock;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _op_outbox_lock ()
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: lock the outbox rows of a batch in order'
BEGIN
    DECLARE v_count INT;
    DECLARE v_found INT;

    -- A row of another version is locked, too, because later statements read it out of order.
    SELECT COUNT(*),
           COUNT(IF(x.ver = w.ver, 1, NULL))
      INTO v_count,
           v_found
      FROM (SELECT o.slot,
                   o.owner,
                   o.kind,
                   o.target,
                   o.seq,
                   o.ver
              FROM op AS o
             WHERE o.code = 'ok'
             ORDER BY o.slot,
                      o.owner,
                      o.kind,
                      o.target,
                      o.seq
             LIMIT 256) AS w
      LEFT JOIN outbox AS x FORCE INDEX (PRIMARY)
        ON x.slot = w.slot
       AND x.actor_id = w.owner
       AND x.kind = w.kind
       AND x.target_id = w.target
       AND x.seq = w.seq
       FOR UPDATE;

    IF v_found < v_count THEN
        UPDATE op AS o
          LEFT JOIN outbox AS x FORCE INDEX (PRIMARY)
            ON x.slot = o.slot
           AND x.actor_id = o.owner
           AND x.kind = o.kind
           AND x.target_id = o.target
           AND x.seq = o.seq
           AND x.ver = o.ver
           SET o.code = 'same'
         WHERE o.code = 'ok'
           AND x.ver IS NULL;
    END IF;
END$$

DELIMITER ;
