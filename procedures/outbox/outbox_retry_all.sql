-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- outbox_retry_all: have second halves of all owners delivered now.
--
-- in_kind    follow, favorite, comment or message; '': all kinds
-- in_server  only those whose targets are on this shard; '': on any
--
-- As outbox_retry, after failures with one common cause, for the slots that this shard serves. At
-- most 256 rows: call it again while released is 256. (A target that was promoted counts where the
-- slot that its id names is.)
--
-- Answer  : released (rows)
-- Touches : SELECT outbox (by parked and due_at), slot_known (by slot); slot_fence (by slot,
--           share lock); UPDATE outbox (by key); SELECT video (by slot and video_id); journal
-- Errors  : 45400 an argument is NULL or no such kind
-- Replays : releases what is parked or put off again

DROP PROCEDURE IF EXISTS outbox_retry_all;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE outbox_retry_all (
    IN in_kind   VARCHAR(16),
    IN in_server VARCHAR(64)
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: let second halves of all owners be delivered now'
BEGIN
    DECLARE v_ops      JSON;
    DECLARE v_moving   TINYINT;
    DECLARE v_released INT DEFAULT 0;
    DECLARE v_now      BIGINT DEFAULT _now_ms();

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    IF NOT COALESCE(in_kind IN ('', 'follow', 'favorite', 'comment', 'message')
                    AND LENGTH(in_server) >= 0, FALSE) THEN
        SIGNAL SQLSTATE '45400'
           SET MESSAGE_TEXT = 'outbox_retry_all needs a kind and a server, or empty texts';
    END IF;

    -- Candidates, without locks; then in the order in which locks are taken.
    SELECT JSON_ARRAYAGG(JSON_OBJECT('slot', c.slot,
                                     'epoch', 0,
                                     'owner', c.actor_id,
                                     'kind', c.kind,
                                     'target', c.target_id,
                                     'seq', c.seq,
                                     'ver', c.ver))
      INTO v_ops
      FROM (SELECT d.slot,
                   d.actor_id,
                   d.kind,
                   d.target_id,
                   d.seq,
                   d.ver
              FROM (SELECT x.slot,
                           x.actor_id,
                           x.kind,
                           x.target_id,
                           x.seq,
                           x.ver
                      FROM outbox AS x
                     STRAIGHT_JOIN slot_fence AS f FORCE INDEX (PRIMARY)
                        ON f.slot = x.slot
                       AND f.answer = 'ok'
                      LEFT JOIN owner_home AS h FORCE INDEX (PRIMARY)
                        ON h.slot = IF(f.has_home = 1, x.slot, NULL)
                       AND h.owner_id = x.actor_id
                      LEFT JOIN slot_known AS k FORCE INDEX (PRIMARY)
                        ON k.slot = x.target_slot
                     WHERE (x.parked = 1 OR x.due_at > v_now)
                       AND x.kind = IF(in_kind = '', x.kind, in_kind)
                       AND (in_server = '' OR k.server = in_server)
                       AND h.owner_id IS NULL
                     LIMIT 256) AS d
             ORDER BY d.slot,
                      d.actor_id,
                      d.kind,
                      d.target_id,
                      d.seq
             LIMIT 256) AS c;

    IF v_ops IS NOT NULL THEN
        CALL _op_open(v_ops);
        CALL _op_outbox(v_ops);

        SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
        START TRANSACTION;

        CALL _op_fence(v_moving);

        CALL _op_outbox_owner();

        CALL _op_outbox_lock();

        UPDATE op AS o
         STRAIGHT_JOIN outbox AS x FORCE INDEX (PRIMARY)
            ON x.slot = o.slot
           AND x.actor_id = o.owner
           AND x.kind = o.kind
           AND x.target_id = o.target
           AND x.seq = o.seq
           SET x.attempts = IF(x.parked = 1, 0, x.attempts),
               x.due_at   = v_now,
               x.parked   = 0
         WHERE o.code = 'ok';

        SELECT COALESCE(SUM(o.code = 'ok'), 0)
          INTO v_released
          FROM op AS o;

        CALL _slot_log_add_ops('outbox');

        COMMIT;
    END IF;

    SELECT v_released AS released;
END$$

DELIMITER ;
