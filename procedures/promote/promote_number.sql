-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- promote_number: a number for a slot of its own; on the shard that has slot 0.
--
-- No number is used twice: the last one is in slot_seq, which moves with slot 0; known own slots
-- count, too, in case slot_seq is older (a restored shard).
--
-- Answer  : own_slot (1024 and up; 0: this shard does not serve slot 0: ask another one)
-- Touches : SELECT slot_fence (by slot, LOCK IN SHARE MODE); SELECT, UPDATE slot_seq (by slot);
--           SELECT slot_known, slot_move
-- Errors  : 45503 there are no numbers left
-- Replays : another number; one that is not used is lost, nothing else

DROP PROCEDURE IF EXISTS promote_number;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE promote_number ()
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: a number for an own slot'
BEGIN
    DECLARE v_good TINYINT;
    DECLARE v_last INT UNSIGNED DEFAULT 0;

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    SELECT COALESCE(MAX(f.answer = 'ok'), 0)
      INTO v_good
      FROM slot_fence AS f
     WHERE f.slot = 0
      LOCK IN SHARE MODE;

    IF v_good THEN
        SELECT MAX(s.own_last)
          INTO v_last
          FROM slot_seq AS s
         WHERE s.slot = 0
           FOR UPDATE;

        SELECT GREATEST(v_last, 1023, COALESCE(MAX(t.slot), 0)) + 1
          INTO v_last
          FROM (SELECT MAX(k.slot) AS slot
                  FROM slot_known AS k
                 UNION ALL
                SELECT MAX(m.own_slot)
                  FROM slot_move AS m) AS t;

        IF v_last >= 65536 THEN
            SIGNAL SQLSTATE '45503' SET MESSAGE_TEXT = 'no numbers are left for own slots';
        END IF;

        UPDATE slot_seq AS s
           SET s.own_last = v_last
         WHERE s.slot = 0;
    END IF;

    COMMIT;

    SELECT v_last AS own_slot;
END$$

DELIMITER ;
