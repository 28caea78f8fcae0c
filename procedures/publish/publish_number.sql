-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- publish_number: an id for a new video of an author who has a slot of his own.
--
-- in_ops  batch; slot is that of the author's id; owner is 0; each operation has
--           author  the author
--           op      32 hex digits, idempotency key of the upload
--
-- The id and the forwarding entry of the video are made here, in one transaction, before the video
-- itself (publish_action with this id): a repeated upload gets the same id.
--
-- Answer  : n, code, slot, epoch, server, video_id
-- Codes   : ok same conflict (he has no slot of his own: publish_action needs no id) moved notready
-- Touches : SELECT, INSERT owner_home (by slot and owner; by slot, author_id, op); slot_seq;
--           journal
-- Errors  : 45400 malformed batch   45503 the slot has no mint here
-- Replays : same with that id

DROP PROCEDURE IF EXISTS publish_number;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE publish_number (
    IN in_ops JSON
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: an id for a video of a promoted author'
BEGIN
    DECLARE v_n         INT;
    DECLARE v_slot      INT UNSIGNED;
    DECLARE v_moving    TINYINT;
    DECLARE v_author_id BIGINT UNSIGNED;
    DECLARE v_op        BINARY(16);
    DECLARE v_home      INT UNSIGNED;
    DECLARE v_video_id  BIGINT UNSIGNED;
    DECLARE v_done      BOOLEAN DEFAULT FALSE;

    DECLARE c_op CURSOR FOR
        SELECT o.n,
               o.slot,
               o.moving,
               j.author_id,
               UNHEX(j.op)
          FROM JSON_TABLE(in_ops, '$[*]' COLUMNS (
                   n         FOR ORDINALITY,
                   author_id BIGINT UNSIGNED PATH '$.author',
                   op        VARCHAR(32) PATH '$.op'
               )) AS j
          JOIN op AS o
            ON o.n = j.n
         WHERE o.code = 'ok'
         ORDER BY o.n;

    DECLARE CONTINUE HANDLER FOR NOT FOUND SET v_done = TRUE;
    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    CALL _op_open(in_ops);

    SELECT MIN(j.n)
      INTO v_n
      FROM JSON_TABLE(in_ops, '$[*]' COLUMNS (
               n         FOR ORDINALITY,
               slot      INT UNSIGNED PATH '$.slot',
               owner     BIGINT UNSIGNED PATH '$.owner',
               author_id BIGINT UNSIGNED PATH '$.author',
               op        VARCHAR(33) PATH '$.op'
           )) AS j
     WHERE NOT COALESCE(j.owner = 0
                        AND j.author_id > 0
                        AND (j.author_id DIV 8) MOD 1024 = j.slot
                        AND LENGTH(j.op) = 32 AND UNHEX(j.op) IS NOT NULL, FALSE);

    CALL _op_refuse(v_n, 'owner 0, author, op');

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    CALL _op_fence(v_moving);
    CALL _slot_seq_lock();

    OPEN c_op;
    op_loop: LOOP
        FETCH c_op INTO v_n, v_slot, v_moving, v_author_id, v_op;
        IF v_done THEN
            LEAVE op_loop;
        END IF;

        SELECT MAX(h.own_slot)
          INTO v_home
          FROM owner_home AS h
         WHERE h.slot = v_slot
           AND h.owner_id = v_author_id;

        SELECT MAX(h.owner_id)
          INTO v_video_id
          FROM owner_home AS h FORCE INDEX (op)
         WHERE h.slot = v_slot
           AND h.author_id = v_author_id
           AND h.op = v_op;

        IF v_home IS NULL THEN
            UPDATE op AS o
               SET o.code = 'conflict'
             WHERE o.n = v_n;
        ELSEIF v_video_id IS NULL THEN
            CALL _op_mint(v_n, TRUE);

            SELECT o.id
              INTO v_video_id
              FROM op AS o
             WHERE o.n = v_n;

            INSERT INTO owner_home (slot, owner_id, own_slot, author_id, op)
            VALUES (v_slot, v_video_id, v_home, v_author_id, v_op);

            CALL _slot_log_add(v_moving, v_slot, 'owner_home', v_author_id,
                               v_video_id, NULL, NULL, NULL, NULL);
        ELSE
            UPDATE op AS o
               SET o.code = 'same',
                   o.id   = v_video_id
             WHERE o.n = v_n;
        END IF;
    END LOOP;
    CLOSE c_op;

    COMMIT;

    SELECT o.n,
           o.code,
           o.slot,
           o.epoch,
           o.server,
           NULLIF(o.id, 0) AS video_id
      FROM op AS o
     ORDER BY o.n;
END$$

DELIMITER ;
