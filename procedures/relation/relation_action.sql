-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- relation_action: follows and unfollows, at the user who follows.
--
-- in_ops  batch; owner is the user; each operation has
--           target  another user
--           state   1: follow; 0: unfollow
--         and, where the caller believes that the target is on this shard, too,
--           target_slot, target_epoch  its slot, and the epoch of that
--
-- Writes the first half of the edge; the outbox keeps the second, relation_deliver. If both
-- slots are here and not moving, both halves are made in this transaction: a target that
-- is gone refuses its follow, of which nothing is written then, and no outbox row is left, not
-- even an older one of the edge. At most one operation per edge.
--
-- Answer  : n, code, slot, epoch, server, ver (of the edge; 0: there never was one), at (its
--           time), pending (1: the second half of this version must still be made)
-- Answer 2: as _op_user_answer
-- Answer 3: as _op_inbound_answer (where both halves are made)
-- Codes   : ok same (the edge was like that) notfound (the user is no live user, or the target was
--           here and is no live one) moved notready
-- Touches : SELECT, UPDATE user, inbound (by slot and user_id); SELECT, INSERT, UPDATE follow
--           (by slot, user_id, followed_id), follower (by slot, user_id, follower_id); SELECT,
--           INSERT, UPDATE, DELETE outbox (by key); journal
-- Errors  : 45400 malformed batch, or two operations on one edge
-- Replays : same, with the version of the first time; pending says whether its second half
--           is still to be made. The old state is read under the lock of the user, so that
--           two racing requests cannot both count.

DROP PROCEDURE IF EXISTS relation_action;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE relation_action (
    IN in_ops JSON
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v2 serves v1: follow and unfollow users'
BEGIN
    DECLARE v_is_done TINYINT DEFAULT 0;

    IF LOCATE('},{', in_ops) = 0 THEN
        CALL _relation_action_one(in_ops, v_is_done);
    END IF;

    IF NOT v_is_done THEN
        CALL _relation_action_batch(in_ops);
    END IF;
END$$

DELIMITER ;
