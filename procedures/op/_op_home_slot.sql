-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- _op_home_slot: the slot of an owner, as far as this shard knows.
--
-- in_id  id of a user or video
--
-- For administration, whose caller knows only the id and asks every shard: forwarding entries are
-- where the slot of the id is, and the rows of a promoted owner may be on another shard, which
-- finds him by these rows.
--
-- Touches : SELECT slot_fence, owner_home (by slot and owner), user, video (by slot and id)
-- Errors  : none
-- Replays : reads only

DROP FUNCTION IF EXISTS _op_home_slot;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost FUNCTION _op_home_slot (
    in_id BIGINT UNSIGNED
)
    RETURNS INT UNSIGNED
    NOT DETERMINISTIC
    READS SQL DATA
    SQL SECURITY DEFINER
    COMMENT 'v1: slot of an owner'
BEGIN
    DECLARE v_shared INT UNSIGNED DEFAULT (in_id DIV 8) MOD 1024;
    DECLARE v_claims INT;
    DECLARE v_slot   INT UNSIGNED;

    SELECT COUNT(*),
           MAX(h.own_slot)
      INTO v_claims,
           v_slot
      FROM slot_fence AS f FORCE INDEX (PRIMARY)
      LEFT JOIN owner_home AS h FORCE INDEX (PRIMARY)
        ON h.slot = f.slot
       AND h.owner_id = in_id
     WHERE f.slot = v_shared
       AND f.state IN ('owned', 'migrating');

    IF v_claims = 0 THEN
        SELECT MAX(f.slot)
          INTO v_slot
          FROM slot_fence AS f FORCE INDEX (PRIMARY)
          LEFT JOIN user AS u FORCE INDEX (PRIMARY)
            ON u.slot = f.slot
           AND u.user_id = in_id
          LEFT JOIN video AS v FORCE INDEX (PRIMARY)
            ON v.slot = f.slot
           AND v.video_id = in_id
         WHERE f.slot >= 1024
           AND f.state IN ('owned', 'migrating')
           AND (u.user_id IS NOT NULL
                OR v.video_id IS NOT NULL);
    END IF;

    RETURN COALESCE(v_slot, v_shared);
END$$

DELIMITER ;
