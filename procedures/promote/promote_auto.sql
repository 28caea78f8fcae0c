-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- promote_auto: request a slot of his own for the user with the largest share of this shard's load,
-- if that is above a limit.
--
-- in_percent    of what all slots of this shard cost of late (load_status), 1 to 100
-- in_per_hour   at most so many promotions in an hour, whoever asked for them
-- in_slots_max  at most so many own slots on this shard
--
-- The cost of his videos is his (load_owners). A short peak promotes nobody: he must have been
-- counted for at least ten minutes, half of which the sums remember, and the shard must be busy for
-- 100 ms in each second. A user who was demoted in the last day, or whose promotion failed or was
-- called off in the last hour, stays where he is. Like promote_request this only writes a request.
--
-- Answer  : user_id (who takes most of those who may be promoted; 0: nobody takes so much), slot,
--           share (percent), move_id (0: not asked for), why (then: in words)
-- Touches : SELECT shard_self (FOR UPDATE), slot_load, owner_load (all rows), user, video (by slot
--           and id), owner_home (by slot and owner), slot_move (by owner); SELECT slot_fence (by
--           slot, FOR UPDATE); INSERT slot_move
-- Errors  : 45400 an argument is out of range
-- Replays : asks for nobody else while a promotion is under way

DROP PROCEDURE IF EXISTS promote_auto;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE promote_auto (
    IN in_percent   INT,
    IN in_per_hour  INT,
    IN in_slots_max INT
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: promote who takes most'
BEGIN
    DECLARE v_now    BIGINT DEFAULT _now_ms();
    DECLARE v_self   VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin;
    DECLARE v_total  DOUBLE;
    DECLARE v_share  INT DEFAULT 0;
    DECLARE v_user   BIGINT UNSIGNED DEFAULT 0;
    DECLARE v_slot   INT UNSIGNED;
    DECLARE v_rests  TINYINT;
    DECLARE v_why    VARCHAR(64) DEFAULT '';
    DECLARE v_id     BIGINT UNSIGNED DEFAULT 0;

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    IF NOT COALESCE(in_percent BETWEEN 1 AND 100
                    AND in_per_hour BETWEEN 1 AND 1000
                    AND in_slots_max BETWEEN 1 AND 10000, FALSE) THEN
        SIGNAL SQLSTATE '45400'
           SET MESSAGE_TEXT = 'promote_auto needs percent, promotions an hour and own slots';
    END IF;

    SELECT COALESCE(SUM(_load_per_min(w.busy_us, w.at, w.since, v_now)), 0)
      INTO v_total
      FROM slot_fence AS f FORCE INDEX (PRIMARY)
     STRAIGHT_JOIN slot_load AS w FORCE INDEX (PRIMARY)
        ON w.slot = f.slot
     WHERE f.state IN ('owned', 'migrating');

    -- 100 ms in a second, per minute.
    IF v_total >= 6000000 THEN
        SELECT COALESCE(MAX(t.user_id), 0),
               COALESCE(MAX(ROUND(100 * t.busy_us / v_total)), 0)
          INTO v_user,
               v_share
          FROM (SELECT COALESCE(u.user_id, v.author_id) AS user_id,
                       SUM(_load_per_min(w.busy_us, w.at, w.since, v_now)) AS busy_us
                  FROM owner_load AS w
                 STRAIGHT_JOIN slot_fence AS f FORCE INDEX (PRIMARY)
                    ON f.slot = w.slot
                   AND f.answer = 'ok'
                  LEFT JOIN user AS u FORCE INDEX (PRIMARY)
                    ON u.slot = w.slot
                   AND u.user_id = w.owner_id
                  LEFT JOIN video AS v FORCE INDEX (PRIMARY)
                    ON v.slot = w.slot
                   AND v.video_id = w.owner_id
                 WHERE w.slot < 1024
                   AND w.since <= v_now - 600000
                   AND COALESCE(u.user_id, v.author_id) IS NOT NULL
                   AND NOT EXISTS (SELECT 1
                                     FROM owner_home AS h
                                    WHERE h.slot = w.slot
                                      AND h.owner_id = w.owner_id)
                   AND NOT EXISTS (SELECT 1
                                     FROM slot_move AS m FORCE INDEX (by_owner)
                                    WHERE m.owner_id = COALESCE(u.user_id, v.author_id)
                                      AND ((m.kind = 'demote'
                                            AND m.finished_at > v_now - 86400000)
                                           OR (m.kind = 'promote'
                                               AND m.phase IN ('undone', 'failed')
                                               AND m.finished_at > v_now - 3600000)))
                 GROUP BY COALESCE(u.user_id, v.author_id)
                HAVING SUM(_load_per_min(w.busy_us, w.at, w.since, v_now))
                       >= v_total * in_percent / 100
                 ORDER BY busy_us DESC,
                          user_id
                 LIMIT 1) AS t;
    END IF;

    SET v_slot = (v_user DIV 8) MOD 1024;

    IF v_user > 0 THEN
        SET v_why = _promote_held(in_per_hour, in_slots_max);
    END IF;

    -- Reasons that do not depend on him are checked without locks.
    IF v_user > 0 AND v_why = '' THEN
        SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
        START TRANSACTION;

        -- One mover at a time.
        SELECT MAX(ss.name)
          INTO v_self
          FROM shard_self AS ss
           FOR UPDATE;

        SELECT MAX(f.state = 'owned' AND f.answer = 'ok' AND f.journal = 0)
          INTO v_rests
          FROM slot_fence AS f
         WHERE f.slot = v_slot
           FOR UPDATE;

        SET v_why = _promote_held(in_per_hour, in_slots_max);

        SET v_why = CASE WHEN v_why <> ''
                         THEN v_why
                         WHEN NOT COALESCE(v_rests, 0) OR _move_busy(v_slot) IS NOT NULL
                         THEN 'his slot moves'
                         WHEN NOT EXISTS (SELECT 1
                                            FROM user AS u
                                           WHERE u.slot = v_slot
                                             AND u.user_id = v_user
                                             AND u.state <> 'erased')
                         THEN 'he was erased'
                         ELSE ''
                    END;

        IF v_why = '' THEN
            INSERT INTO slot_move (slot, kind, giver, taker, owner_id, keep_ms, requested_at,
                                   requested_by)
            VALUES (v_slot, 'promote', v_self, v_self, v_user, 0, v_now,
                    CONCAT('policy: ', v_share, ' %, bound ', in_percent, ' %'));

            SET v_id = LAST_INSERT_ID();
        END IF;

        COMMIT;
    END IF;

    SELECT v_user AS user_id,
           v_slot AS slot,
           v_share AS share,
           v_id AS move_id,
           v_why AS why;
END$$

DELIMITER ;
