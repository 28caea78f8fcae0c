-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- outbox_fail: report that second halves could not be delivered.
--
-- in_ops  batch; owner is the actor (comment: the video); each operation has
--           kind    follow, favorite, comment or message
--           target  owner of the second half
--           seq     number of the message, id of the comment; 0 for edges
--           ver     version that was not delivered
--           retry_ms  wait at least this long, 0 to 86400000
--           failed    1: counts as a failed attempt, the 20th parks the row for an operator;
--                     0: only put off (the target's shard does not answer), so that others have
--                     their turn
--
-- Answer  : n, code, slot, epoch, server
-- Codes   : ok same (the row is gone, or waits for a newer version) moved notready
-- Touches : SELECT, UPDATE outbox (by key); journal
-- Errors  : 45400 malformed batch, or two operations on one row
-- Replays : counts once more

DROP PROCEDURE IF EXISTS outbox_fail;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE outbox_fail (
    IN in_ops JSON
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: put off second halves that could not be delivered'
BEGIN
    DECLARE v_n      INT;
    DECLARE v_moving TINYINT;

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    CALL _op_open(in_ops);
    CALL _op_outbox(in_ops);

    SELECT MIN(j.n)
      INTO v_n
      FROM JSON_TABLE(in_ops, '$[*]' COLUMNS (
               n        FOR ORDINALITY,
               retry_ms VARCHAR(24) PATH '$.retry_ms',
               failed   VARCHAR(8) PATH '$.failed'
           )) AS j
     WHERE NOT COALESCE(CAST(CAST(j.retry_ms AS UNSIGNED) AS CHAR) = j.retry_ms
                        AND CAST(j.retry_ms AS UNSIGNED) <= 86400000
                        AND j.failed IN ('0', '1'), FALSE);

    CALL _op_refuse(v_n, 'retry_ms 0 to 86400000, failed 0 or 1');

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    CALL _op_fence(v_moving);

    CALL _op_outbox_owner();

    CALL _op_outbox_lock();

    UPDATE JSON_TABLE(in_ops, '$[*]' COLUMNS (
               n        FOR ORDINALITY,
               retry_ms BIGINT PATH '$.retry_ms',
               failed   TINYINT PATH '$.failed'
           )) AS j
     STRAIGHT_JOIN op AS o
        ON o.n = j.n
     STRAIGHT_JOIN outbox AS x FORCE INDEX (PRIMARY)
        ON x.slot = o.slot
       AND x.actor_id = o.owner
       AND x.kind = o.kind
       AND x.target_id = o.target
       AND x.seq = o.seq
       SET x.parked   = x.attempts + j.failed >= 20,
           x.attempts = x.attempts + j.failed,
           x.due_at   = _now_ms() + j.retry_ms
     WHERE o.code = 'ok';

    IF v_moving THEN
        CALL _slot_log_add_ops('outbox');
    END IF;

    COMMIT;

    SELECT o.n,
           o.code,
           o.slot,
           o.epoch,
           o.server
      FROM op AS o
     ORDER BY o.n;
END$$

DELIMITER ;
