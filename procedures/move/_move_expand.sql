-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _move_expand: add the keys of the rows that the begins of keys in move_key mean.
--
-- in_slot  the slot
-- in_tbl   the table
--
-- Some routines journal every row of an owner, or of a chat, at once: see _slot_log_add.
--
-- Touches : SELECT, INSERT move_key; move_prefix; SELECT session, job, message, outbox (by slot and
--           the begin of the key)
-- Errors  : none
-- Replays : adds the same keys again

DROP PROCEDURE IF EXISTS _move_expand;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE _move_expand (
    IN in_slot INT UNSIGNED,
    IN in_tbl  VARCHAR(16)
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: keys that a begin of a key means'
BEGIN
    IF in_tbl IN ('session', 'job', 'message', 'outbox') THEN
        DELETE FROM move_prefix;

        INSERT INTO move_prefix (k1, k2, ks)
        SELECT k.k1,
               k.k2,
               k.ks
          FROM move_key AS k
         WHERE (in_tbl = 'session' AND k.ks IS NULL)
            OR (in_tbl = 'job' AND k.k2 IS NULL)
            OR (in_tbl IN ('message', 'outbox') AND k.k3 IS NULL);

        IF ROW_COUNT() > 0 THEN
            INSERT INTO move_key (k1, k2, k3, ks)
            SELECT t.user_id,
                   NULL,
                   NULL,
                   t.session
              FROM move_prefix AS p
             STRAIGHT_JOIN session AS t FORCE INDEX (PRIMARY)
                ON t.slot = IF(in_tbl = 'session', in_slot, NULL)
               AND t.user_id = p.k1
             UNION ALL
            SELECT t.owner_id,
                   t.target_id,
                   NULL,
                   t.kind
              FROM move_prefix AS p
             STRAIGHT_JOIN job AS t FORCE INDEX (PRIMARY)
                ON t.slot = IF(in_tbl = 'job', in_slot, NULL)
               AND t.owner_id = p.k1
             UNION ALL
            SELECT t.user_id,
                   t.peer_id,
                   t.at,
                   NULL
              FROM move_prefix AS p
             STRAIGHT_JOIN message AS t FORCE INDEX (PRIMARY)
                ON t.slot = IF(in_tbl = 'message', in_slot, NULL)
               AND t.user_id = p.k1
               AND t.peer_id = p.k2
             UNION ALL
            SELECT t.actor_id,
                   t.target_id,
                   t.seq,
                   t.kind
              FROM move_prefix AS p
             STRAIGHT_JOIN outbox AS t FORCE INDEX (PRIMARY)
                ON t.slot = IF(in_tbl = 'outbox', in_slot, NULL)
               AND t.actor_id = p.k1
               AND t.kind = CONVERT(p.ks USING ascii) COLLATE ascii_bin
               AND t.target_id = p.k2;
        END IF;
    END IF;
END$$

DELIMITER ;
