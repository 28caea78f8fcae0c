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
-- Applied only when the version is newer than that of the row. The list is for export and
-- erasure; no counter and no page shows it. An erased user takes no new comments, but hears
-- of those that are deleted. At most one operation per comment.
--
-- Answer  : n, code, slot, epoch, server
-- Codes   : ok same (not newer) notfound (no user, or erased and it is a new one of state 1)
--           moved notready
-- Touches : SELECT user (by slot and user_id, FOR UPDATE); SELECT, INSERT, UPDATE commented
--           (by slot, user_id, video_id, comment_id); journal
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
    DECLARE v_n      INT;
    DECLARE v_moving TINYINT;

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    CALL _op_open(in_ops);

    SELECT MIN(j.n)
      INTO v_n
      FROM JSON_TABLE(in_ops, '$[*]' COLUMNS (
               n          FOR ORDINALITY,
               owner      VARCHAR(24) PATH '$.owner',
               video_id   VARCHAR(24) PATH '$.video',
               comment_id VARCHAR(24) PATH '$.comment_id',
               state      VARCHAR(8) PATH '$.state',
               ver        VARCHAR(24) PATH '$.ver',
               at         VARCHAR(24) PATH '$.at'
           )) AS j
     WHERE NOT COALESCE(j.owner <> '0'
                        AND CAST(CAST(j.video_id AS UNSIGNED) AS CHAR) = j.video_id
                        AND j.video_id <> '0'
                        AND CAST(CAST(j.comment_id AS UNSIGNED) AS CHAR) = j.comment_id
                        AND j.comment_id <> '0'
                        AND j.state IN ('0', '1')
                        AND CAST(CAST(j.ver AS UNSIGNED) AS CHAR) = j.ver
                        AND j.ver <> '0'
                        AND CAST(CAST(j.at AS SIGNED) AS CHAR) = j.at
                        AND CAST(j.at AS SIGNED) >= 0, FALSE);

    CALL _op_refuse(v_n, 'owner, video, comment_id, state 0 or 1, ver, at');

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    CALL _op_fence();

    UPDATE JSON_TABLE(in_ops, '$[*]' COLUMNS (
               n          FOR ORDINALITY,
               video_id   BIGINT UNSIGNED PATH '$.video',
               comment_id BIGINT UNSIGNED PATH '$.comment_id',
               state      TINYINT PATH '$.state',
               ver        BIGINT UNSIGNED PATH '$.ver',
               at         BIGINT PATH '$.at'
           )) AS j
     STRAIGHT_JOIN op AS o
        ON o.n = j.n
       SET o.target = j.video_id,
           o.seq    = j.comment_id,
           o.state  = j.state,
           o.ver    = j.ver,
           o.at     = j.at;

    CALL _op_distinct();
    CALL _op_user_hold();

    -- What is there is there, also at a user who was erased since: the version comes first.
    UPDATE op AS o
     STRAIGHT_JOIN commented AS c FORCE INDEX (PRIMARY)
        ON c.slot = o.slot
       AND c.user_id = o.owner
       AND c.video_id = o.target
       AND c.comment_id = o.seq
       SET o.code = 'same'
     WHERE o.code = 'ok'
       AND c.ver >= o.ver;

    UPDATE op AS o
      LEFT JOIN user AS u FORCE INDEX (PRIMARY)
        ON u.slot = o.slot
       AND u.user_id = o.owner
       AND (u.state = 'live' OR o.state = 0)
       SET o.code = 'notfound'
     WHERE o.code = 'ok'
       AND u.user_id IS NULL;

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

    SELECT MAX(o.moving)
      INTO v_moving
      FROM op AS o
     WHERE o.code = 'ok';

    IF v_moving THEN
        CALL _slot_log_add_ops('commented');
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
