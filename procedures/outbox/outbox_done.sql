-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- outbox_done: remove the outbox rows of delivered second halves.
--
-- in_ops  batch; owner is the actor (comment: the video); each operation has
--           kind    follow, favorite, comment or message
--           target  owner of the second half
--           seq     number of the message, id of the comment; 0 for edges
--           ver     version that was delivered
--
-- Answer  : n, code, slot, epoch, server
-- Codes   : ok same (the row is gone, or waits for a newer version) moved notready
-- Touches : SELECT, UPDATE, DELETE outbox (by key); journal
-- Errors  : 45400 malformed batch, or two operations on one row
-- Replays : same

DROP PROCEDURE IF EXISTS outbox_done;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE outbox_done (
    IN in_ops JSON
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v2 serves v1: forget second halves that are delivered'
BEGIN
    DECLARE v_bytes  BIGINT;
    DECLARE v_moving TINYINT;

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        CALL _op_size(in_ops);
        RESIGNAL;
    END;

    -- Not as an argument of the CALL, because the server copies values named in a statement for its
    -- log.
    SET v_bytes = LENGTH(in_ops);
    CALL _op_clear(v_bytes);

    INSERT INTO op (n, slot, epoch, owner, user_id, kind, target, seq, ver)
    SELECT j.n,
           j.slot,
           j.epoch,
           j.owner,
           j.owner,
           j.kind,
           j.target,
           j.seq,
           j.ver
      FROM JSON_TABLE(in_ops, '$[*]' COLUMNS (
               n      FOR ORDINALITY,
               slot   INT UNSIGNED PATH '$.slot',
               epoch  BIGINT UNSIGNED PATH '$.epoch',
               owner  BIGINT UNSIGNED PATH '$.owner',
               kind   VARCHAR(16) PATH '$.kind',
               target BIGINT UNSIGNED PATH '$.target',
               seq    BIGINT UNSIGNED PATH '$.seq',
               ver    BIGINT UNSIGNED PATH '$.ver'
           )) AS j
     WHERE j.slot IS NOT NULL
       AND j.epoch IS NOT NULL
       AND j.owner > 0
       AND j.kind IN ('follow', 'favorite', 'comment', 'message')
       AND j.target > 0
       AND (j.seq = 0) = (j.kind IN ('follow', 'favorite'))
       AND j.ver > 0;

    -- The form in which a server writes it.
    IF (SELECT CONCAT('[', GROUP_CONCAT('{"kind":"', o.kind,
                                           '","target":', o.target,
                                           ',"seq":', o.seq,
                                           ',"ver":', o.ver,
                                           ',"slot":', o.slot,
                                           ',"epoch":', o.epoch,
                                           ',"owner":', o.owner, '}'
                                        ORDER BY o.slot, o.owner, o.n), ']')
          FROM op AS o) = in_ops THEN
        CALL _op_known(0);
    ELSE
        CALL _op_exact(in_ops, 'target,seq,ver',
                       'owner, kind, target, seq (0 for follow and favorite) and ver');
    END IF;

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    CALL _op_fence(v_moving);

    IF v_moving THEN
        CALL _op_outbox_owner();
    END IF;

    CALL _op_outbox_lock();

    CALL _op_outbox_remove();

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
