-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _user_state: change the state of the users of a batch.
--
-- in_from  state that they have
-- in_to    state that they get
--
-- Under the locks of _op_user_lock, and of the rows of inbound, which this takes. Operations
-- whose user has the state in_to already end with same, those whose user has none of both with
-- notfound. The versions of both parts of the card are raised.
--
-- Touches : SELECT op_user; UPDATE op; UPDATE user, inbound (by slot and user_id);
--           journal
-- Errors  : none
-- Replays : same

DROP PROCEDURE IF EXISTS _user_state;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _user_state (
    IN in_from VARCHAR(8),
    IN in_to   VARCHAR(8)
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: another state for users'
BEGIN
    UPDATE op AS o
      LEFT JOIN op_user AS m
        ON m.slot = o.slot
       AND m.user_id = o.owner
       SET o.code = CASE WHEN m.state = in_from
                         THEN 'ok'
                         WHEN m.state = in_to
                         THEN 'same'
                         ELSE 'notfound'
                    END
     WHERE o.code = 'ok';

    UPDATE op AS o
     STRAIGHT_JOIN user AS u FORCE INDEX (PRIMARY)
        ON u.slot = o.slot
       AND u.user_id = o.owner
     STRAIGHT_JOIN inbound AS i FORCE INDEX (PRIMARY)
        ON i.slot = o.slot
       AND i.user_id = o.owner
       SET u.state = in_to,
           i.state = in_to,
           u.ver   = GREATEST(u.ver, o.epoch << 33) + 1,
           i.ver   = GREATEST(i.ver, o.epoch << 33) + 1
     WHERE o.code = 'ok';

    CALL _slot_log_add_ops('user');
    CALL _slot_log_add_ops('inbound');
END$$

DELIMITER ;
