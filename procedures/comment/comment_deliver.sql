-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- comment_deliver: the second half of a comment, at the user who wrote it.
--
-- in_ops  batch; owner is that user; each operation has
--           video       under which video
--           comment_id  which comment
--           state       1: posted; 0: deleted
--           ver         1 posted, 2 deleted
--           at          ms since the Unix epoch
--
-- Applied only when the version is newer than that of the row. The list is for export and erasure;
-- no counter or page shows it, so it has no version. An erased user gets no new comments, but
-- deletions are applied. At most one operation per comment.
--
-- Answer  : n, code, slot, epoch, server
-- Answer 2: as _op_inbound_answer
-- Codes   : ok same (not newer) notfound (no user, or erased and it is a new one of state 1)
--           moved notready
-- Touches : SELECT inbound (by slot and user_id, FOR UPDATE); SELECT, INSERT, UPDATE commented (by
--           slot, user_id, video_id, comment_id); journal
-- Errors  : 45400 malformed batch, or two operations on one comment
-- Replays : same

DROP PROCEDURE IF EXISTS comment_deliver;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE comment_deliver (
    IN in_ops JSON
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v2: second half of a comment'
BEGIN
    DECLARE v_moving TINYINT;

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    CALL _op_begin(in_ops);

    INSERT INTO op (n, slot, epoch, owner, user_id, kind, target, seq, state, ver, at)
    SELECT j.n,
           j.slot,
           j.epoch,
           j.owner,
           j.owner,
           'comment',
           j.video_id,
           j.comment_id,
           j.state,
           j.ver,
           j.at
      FROM JSON_TABLE(in_ops, '$[*]' COLUMNS (
               n               FOR ORDINALITY,
               slot            INT UNSIGNED PATH '$.slot',
               slot_text       VARCHAR(24) PATH '$.slot',
               epoch           BIGINT UNSIGNED PATH '$.epoch',
               epoch_text      VARCHAR(24) PATH '$.epoch',
               owner           BIGINT UNSIGNED PATH '$.owner',
               owner_text      VARCHAR(24) PATH '$.owner',
               video_id        BIGINT UNSIGNED PATH '$.video',
               video_id_text   VARCHAR(24) PATH '$.video',
               comment_id      BIGINT UNSIGNED PATH '$.comment_id',
               comment_id_text VARCHAR(24) PATH '$.comment_id',
               state           TINYINT PATH '$.state',
               state_text      VARCHAR(24) PATH '$.state',
               ver             BIGINT UNSIGNED PATH '$.ver',
               ver_text        VARCHAR(24) PATH '$.ver',
               at              BIGINT PATH '$.at',
               at_text         VARCHAR(24) PATH '$.at'
           )) AS j
     WHERE CONCAT(j.slot, ',', j.epoch, ',', j.owner, ',', j.video_id, ',', j.comment_id, ',',
                  j.state, ',', j.ver, ',', j.at)
           = CONCAT(j.slot_text, ',', j.epoch_text, ',', j.owner_text, ',', j.video_id_text, ',',
                    j.comment_id_text, ',', j.state_text, ',', j.ver_text, ',', j.at_text)
       AND j.owner > 0
       AND j.video_id > 0
       AND j.comment_id > 0
       AND j.state IN (0, 1)
       AND j.ver > 0
       AND j.at >= 0;

    CALL _op_opened(in_ops, ROW_COUNT(), 'owner, video, comment_id, state 0 or 1, ver, at');

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    CALL _op_fence(v_moving);
    CALL _op_inbound_lock();

    -- Check the version first: a half that is there already is `same`, also at a user erased since.
    UPDATE op AS o
      LEFT JOIN op_inbound AS i
        ON i.slot = o.slot
       AND i.user_id = o.owner
      LEFT JOIN commented AS c FORCE INDEX (PRIMARY)
        ON c.slot = i.slot
       AND c.user_id = o.owner
       AND c.video_id = o.target
       AND c.comment_id = o.seq
       SET o.code = CASE WHEN c.ver >= o.ver
                         THEN 'same'
                         WHEN i.state <> 'erased' OR (i.user_id IS NOT NULL AND o.state = 0)
                         THEN 'ok'
                         ELSE 'notfound'
                    END
     WHERE o.code = 'ok';

    INSERT INTO commented (slot, user_id, video_id, comment_id, state, ver, at)
    SELECT o.slot,
           o.owner,
           o.target,
           o.seq,
           o.state,
           o.ver,
           o.at
      FROM op AS o
     WHERE o.code = 'ok'
        ON DUPLICATE KEY UPDATE state = VALUES(state),
                                ver   = VALUES(ver),
                                at    = VALUES(at);

    IF v_moving THEN
        CALL _slot_log_add_ops('commented');
    END IF;

    COMMIT;

    SELECT o.n,
           o.code,
           o.slot,
           o.epoch,
           o.server
      FROM op AS o;

    CALL _op_inbound_answer();
END$$

DELIMITER ;
