-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- move_give: the slot has moved: end the flip that move_lock began on this connection.
--
-- in_slot   the slot
-- in_token  of the mover
-- in_epoch  that the slot has at the taker
-- in_taker  that shard
--
-- With this commit the move cannot be called off any more; before it, the slot is here. The
-- taker must be ready (move_ready). Whoever reads this fence, and its token, may finish the move by
-- slot_takeover there. The journal is at its end.
--
-- Answer  : epoch
-- Touches : SELECT, UPDATE slot_fence (by slot); DELETE slot_log (by slot); INSERT, UPDATE
--           slot_known; slot_gen; the lock of the token
-- Errors  : 45409 this is not the transaction that locked the slot: it was rolled back
-- Replays : 45409; slot_fence says whether it was done

DROP PROCEDURE IF EXISTS move_give;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE move_give (
    IN in_slot  INT UNSIGNED,
    IN in_token VARCHAR(32),
    IN in_epoch BIGINT UNSIGNED,
    IN in_taker VARCHAR(32)
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: end the flip'
BEGIN
    DECLARE v_good TINYINT;

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    -- What move_lock noted is seen by its own transaction only.
    SELECT MAX(f.token = UNHEX(in_token) AND f.state = 'migrating' AND f.epoch < in_epoch
               AND f.flip = CONNECTION_ID())
      INTO v_good
      FROM slot_fence AS f
     WHERE f.slot = in_slot
       FOR UPDATE;

    IF NOT COALESCE(v_good, 0) THEN
        SIGNAL SQLSTATE '45409' SET MESSAGE_TEXT = 'fenced out: the flip was rolled back';
    END IF;

    UPDATE slot_fence AS f
       SET f.epoch      = in_epoch,
           f.state      = 'moved',
           f.server     = in_taker,
           f.journal    = 0,
           f.flip       = 0,
           f.changed_at = _now_ms()
     WHERE f.slot = in_slot;

    DELETE
      FROM slot_log
     WHERE slot = in_slot;

    INSERT INTO slot_known (slot, epoch, server)
    VALUES (in_slot, in_epoch, in_taker)
        ON DUPLICATE KEY UPDATE
           epoch  = VALUES(epoch),
           server = VALUES(server);

    CALL _slot_changed();

    COMMIT;

    DO RELEASE_LOCK(CONCAT('doushard:', in_token));

    SELECT in_epoch AS epoch;
END$$

DELIMITER ;
