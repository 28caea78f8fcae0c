-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- user_lost: enter users that this shard has lost as erased ones.
--
-- in_ops  batch; owner is the user
--
-- For shardctl verify of a shard that was restored from a backup: other shards have messages from
-- or to users that registered after it. As erased users nobody finds them, and messages that wait
-- for them, or are sent to them, are finished. Their names are free. A user that is there stays as
-- he is. At most one operation per user.
--
-- Answer  : n, code, slot, epoch, server
-- Codes   : ok same (he is there) moved notready
-- Touches : SELECT, INSERT user, inbound (by slot and user_id); journal
-- Errors  : 45400 malformed batch
-- Replays : same

DROP PROCEDURE IF EXISTS user_lost;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE user_lost (
    IN in_ops JSON
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: enter lost users as erased ones'
BEGIN
    DECLARE v_n      INT;
    DECLARE v_moving TINYINT;
    DECLARE v_now    BIGINT DEFAULT _now_ms();

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    CALL _op_open(in_ops);

    SELECT MIN(o.n)
      INTO v_n
      FROM op AS o
     WHERE o.owner NOT BETWEEN 1 AND 9007199254740991
        OR o.place > 1;

    CALL _op_refuse(v_n, 'an owner, each once');

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    CALL _op_fence(v_moving);
    CALL _op_user_lock();

    UPDATE op AS o
     STRAIGHT_JOIN op_user AS m
        ON m.slot = o.slot
       AND m.user_id = o.owner
       SET o.code = 'same'
     WHERE o.code = 'ok';

    INSERT INTO user (slot, user_id, name, password_hash, state, ver, edge_ver, mail_ver,
                      created_at, op)
    SELECT o.slot,
           o.owner,
           '',
           '',
           'erased',
           (o.epoch << 33) + 1,
           o.epoch << 33,
           o.epoch << 33,
           v_now,
           RANDOM_BYTES(16)
      FROM op AS o
     WHERE o.code = 'ok';

    INSERT INTO inbound (slot, user_id, state, ver, follower_ver, mail_ver)
    SELECT o.slot,
           o.owner,
           'erased',
           (o.epoch << 33) + 1,
           o.epoch << 33,
           o.epoch << 33
      FROM op AS o
     WHERE o.code = 'ok';

    IF v_moving THEN
        CALL _slot_log_add_ops('user');
        CALL _slot_log_add_ops('inbound');
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
