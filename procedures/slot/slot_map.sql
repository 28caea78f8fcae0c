-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- slot_map: where every slot is, as far as this shard knows.
--
-- epoch and server are those of the highest epoch this shard has heard of. A slot that is still
-- arriving here belongs to its source until the flip. answer is what a call that needs the slot
-- gets from this shard. gen, the same in all rows, is the generation of the fences: while that is
-- unchanged, so is answer.
--
-- claim_epoch is not hearsay: this shard's own fence claims the slot (owned or migrating, and
-- nothing newer was heard) at that epoch; 0: it does not. A claim that is answered moved was
-- stopped because another shard claims the slot at the same epoch.
--
-- An own slot whose owner came back (gone) has no owner: server is empty, wherever that was heard.
-- It is ok on the shard where he left it, which has all of its rows: none.
--
-- token is that of the flip by which this shard gave the slot away, at epoch to server: what
-- finishes it there if nobody did (slot_takeover); empty: there was none, or it is forgotten.
--
-- Answer  : slot, epoch, server, answer, claim_epoch, token, gen
-- Touches : SELECT slot_known, slot_fence (all rows), slot_gen, in one snapshot
-- Errors  : none
-- Replays : reads only

DROP PROCEDURE IF EXISTS slot_map;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE slot_map ()
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v4 serves v1: where every slot is'
BEGIN
    -- The CAST keeps gen whole: COALESCE with 0 makes a signed DECIMAL, which a program
    -- cannot read as a 64-bit number from 2^63 up.
    SELECT t.slot,
           IF(t.known_epoch >= t.fence_epoch, t.known_epoch, t.fence_epoch) AS epoch,
           IF(t.known_epoch >= t.fence_epoch, t.known_server, t.fence_server) AS server,
           t.answer,
           t.claim_epoch,
           COALESCE(LOWER(HEX(t.token)), '') AS token,
           CAST(COALESCE(g.gen, 0) AS UNSIGNED) AS gen
      FROM (SELECT k.slot,
                   k.epoch AS known_epoch,
                   k.server AS known_server,
                   IF(f.state NOT IN ('importing', 'ready'), f.epoch, 0) AS fence_epoch,
                   COALESCE(f.server, '') AS fence_server,
                   IF(f.state = 'gone', 'ok', COALESCE(f.answer, 'moved')) AS answer,
                   IF(f.state IN ('owned', 'migrating') AND f.heard_epoch <= f.epoch,
                      f.epoch, 0) AS claim_epoch,
                   IF(f.state = 'moved' AND f.epoch >= k.epoch, f.token, NULL) AS token
              FROM slot_known AS k
              LEFT JOIN slot_fence AS f
                ON f.slot = k.slot
             UNION ALL
            SELECT f.slot,
                   0 AS known_epoch,
                   '' AS known_server,
                   IF(f.state NOT IN ('importing', 'ready'), f.epoch, 0) AS fence_epoch,
                   f.server AS fence_server,
                   IF(f.state = 'gone', 'ok', f.answer) AS answer,
                   IF(f.state IN ('owned', 'migrating') AND f.heard_epoch <= f.epoch,
                      f.epoch, 0) AS claim_epoch,
                   IF(f.state = 'moved', f.token, NULL) AS token
              FROM slot_fence AS f
              LEFT JOIN slot_known AS k
                ON k.slot = f.slot
             WHERE k.slot IS NULL) AS t
      LEFT JOIN slot_gen AS g
        ON g.one = 1
     ORDER BY t.slot;
END$$

DELIMITER ;
