-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- owner_versions: the versions of owners and of their lists, and nothing else of them.
--
-- in_ops  batch, in any order; owner is the user or video; each operation has
--           kind  user or video
--
-- For callers that have copies and ask whether they are current. Versions that an owner of that
-- kind does not have are NULL.
--
-- Answer  : n, code, slot, epoch, server, ver (of the card; of a user: of the part that he
--           changes, and of the list of his videos), in_ver (of a user's card: of the part that
--           others change), edge_ver (of the lists of whom and what a user follows and likes),
--           follower_ver (of the list of his followers), mail_ver, in_mail_ver (of his mailbox,
--           by who changes it), comment_ver (of the comments of a video)
-- Answer 2: as _op_refusals (when this shard does not serve all owners)
-- Codes   : ok notfound moved notready
-- Touches : SELECT slot_fence (by slot), owner_home, user, inbound, video (by slot and id), in one
--           snapshot
-- Errors  : 45400 malformed batch
-- Replays : reads only

DROP PROCEDURE IF EXISTS owner_versions;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE owner_versions (
    IN in_ops JSON
)
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v1: the versions of owners'
BEGIN
    DECLARE v_n INT;

    CALL _op_check(in_ops);

    SELECT MIN(j.n)
      INTO v_n
      FROM JSON_TABLE(in_ops, '$[*]' COLUMNS (
               n    FOR ORDINALITY,
               kind VARCHAR(6) PATH '$.kind'
           )) AS j
     WHERE NOT COALESCE(j.kind IN ('user', 'video'), FALSE);

    CALL _op_refuse(v_n, 'kind user or video');

    SELECT j.n,
           IF(COALESCE(u.user_id, a.user_id) IS NULL, 'notfound', 'ok') AS code,
           f.slot,
           f.epoch,
           f.server,
           GREATEST(COALESCE(u.ver, v.ver), f.epoch << 33) AS ver,
           GREATEST(i.ver, f.epoch << 33) AS in_ver,
           GREATEST(u.edge_ver, f.epoch << 33) AS edge_ver,
           GREATEST(i.follower_ver, f.epoch << 33) AS follower_ver,
           GREATEST(u.mail_ver, f.epoch << 33) AS mail_ver,
           GREATEST(i.mail_ver, f.epoch << 33) AS in_mail_ver,
           GREATEST(v.comment_ver, f.epoch << 33) AS comment_ver
      FROM JSON_TABLE(in_ops, '$[*]' COLUMNS (
               n     FOR ORDINALITY,
               slot  INT UNSIGNED PATH '$.slot',
               epoch BIGINT UNSIGNED PATH '$.epoch',
               owner BIGINT UNSIGNED PATH '$.owner',
               kind  VARCHAR(5) PATH '$.kind'
           )) AS j
     STRAIGHT_JOIN slot_fence AS f FORCE INDEX (PRIMARY)
        ON f.slot = j.slot
       AND f.answer = 'ok'
       AND f.epoch >= j.epoch
      LEFT JOIN owner_home AS h FORCE INDEX (PRIMARY)
        ON h.slot = IF(f.has_home = 1, f.slot, NULL)
       AND h.owner_id = j.owner
      LEFT JOIN user AS u FORCE INDEX (PRIMARY)
        ON u.slot = IF(j.kind = 'user', f.slot, NULL)
       AND u.user_id = j.owner
       AND u.state <> 'erased'
      LEFT JOIN inbound AS i FORCE INDEX (PRIMARY)
        ON i.slot = u.slot
       AND i.user_id = u.user_id
      LEFT JOIN video AS v FORCE INDEX (PRIMARY)
        ON v.slot = IF(j.kind = 'video', f.slot, NULL)
       AND v.video_id = j.owner
       AND v.state = 'live'
      LEFT JOIN user AS a FORCE INDEX (PRIMARY)
        ON a.slot = v.slot
       AND a.user_id = v.author_id
       AND a.state = 'live'
     WHERE h.owner_id IS NULL
     ORDER BY j.n;

    IF FOUND_ROWS() < JSON_LENGTH(in_ops) THEN
        CALL _op_refusals(in_ops);
    END IF;
END$$

DELIMITER ;
