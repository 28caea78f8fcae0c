-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- audit_rows: the rows of one table that are one half of something, for the auditor.
--
-- in_tbl          which, see below
-- in_after_slot   where to go on: after the row with this slot,
-- in_after_owner  owner,
-- in_after_other  other
-- in_after_seq    and seq; all 0: from the beginning
-- in_limit        at most so many, 1 to 1000
--
--           table      owner  other          seq
--           follow     user   followed user  0
--           follower   user   follower       0
--           favorite   user   video          0
--           liker      video  user           0
--           comment    video  author         comment_id
--           commented  user   video          comment_id
--           sent       user   peer           seq
--           received   user   peer           seq
--
-- In the order of their key, whether this shard serves their slots or not. The other half is
-- the row with owner and other exchanged, of follow and follower, favorite and liker, sent
-- and received; of comment (video, author) it is commented (author, video): see audit_find.
-- It may be older while the outbox has to deliver it. A tombstone may have none: that is
-- purged by itself. So may edges of a deleted video or an erased user, who refused later ones.
--
-- Answer  : slot, owner, other, seq, state, ver, at (ms since the Unix epoch), digest (of a
--           message: id, op and text; else empty), pending (1: the outbox has to deliver this
--           version of it), served (1: this shard serves the owner; follower, liker: who is live)
-- Touches : SELECT shard_self, slot_fence, owner_home, user, video, follow, follower, favorite,
--           liker, comment, commented, message, outbox (by key), in one snapshot
-- Errors  : 45400 an argument is NULL or out of range
-- Replays : reads only

DROP PROCEDURE IF EXISTS audit_rows;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE audit_rows (
    IN in_tbl         VARCHAR(16),
    IN in_after_slot  INT UNSIGNED,
    IN in_after_owner BIGINT UNSIGNED,
    IN in_after_other BIGINT UNSIGNED,
    IN in_after_seq   BIGINT UNSIGNED,
    IN in_limit       INT
)
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v2 serves v1: rows that are one half of something'
BEGIN
    DECLARE v_open TINYINT DEFAULT _shard_open();

    IF NOT COALESCE(in_tbl IN ('follow', 'follower', 'favorite', 'liker', 'comment', 'commented',
                               'sent', 'received')
                    AND in_after_slot >= 0
                    AND in_after_owner >= 0
                    AND in_after_other >= 0
                    AND in_after_seq >= 0
                    AND in_limit BETWEEN 1 AND 1000, FALSE) THEN
        SIGNAL SQLSTATE '45400'
           SET MESSAGE_TEXT = 'audit_rows needs tbl, after_slot to after_seq, limit 1 to 1000';
    END IF;

    SELECT r.slot,
           r.owner,
           r.other,
           r.seq,
           r.state,
           r.ver,
           r.at,
           r.digest,
           IF(x.ver IS NULL, 0, 1) AS pending,
           IF((f.answer = 'ok' OR (v_open AND f.answer = 'notready'
                                  AND f.state IN ('owned', 'migrating')))
              AND h.owner_id IS NULL
              AND u.user_id IS NULL AND v.video_id IS NULL, 1, 0) AS served
      FROM ((SELECT t.slot,
                    t.user_id AS owner,
                    t.followed_id AS other,
                    0 AS seq,
                    t.state AS state,
                    t.ver AS ver,
                    t.at AS at,
                    '' AS digest
               FROM follow AS t FORCE INDEX (PRIMARY)
              WHERE in_tbl = 'follow'
                AND ((t.slot = in_after_slot
                      AND t.user_id = in_after_owner
                      AND t.followed_id > in_after_other)
                     OR (t.slot = in_after_slot AND t.user_id > in_after_owner)
                     OR t.slot > in_after_slot)
              ORDER BY t.slot,
              t.user_id,
              t.followed_id
              LIMIT in_limit)
             UNION ALL
            (SELECT t.slot,
                    t.user_id AS owner,
                    t.follower_id AS other,
                    0 AS seq,
                    t.state AS state,
                    t.ver AS ver,
                    t.at AS at,
                    '' AS digest
               FROM follower AS t FORCE INDEX (PRIMARY)
              WHERE in_tbl = 'follower'
                AND ((t.slot = in_after_slot
                      AND t.user_id = in_after_owner
                      AND t.follower_id > in_after_other)
                     OR (t.slot = in_after_slot AND t.user_id > in_after_owner)
                     OR t.slot > in_after_slot)
              ORDER BY t.slot,
              t.user_id,
              t.follower_id
              LIMIT in_limit)
             UNION ALL
            (SELECT t.slot,
                    t.user_id AS owner,
                    t.video_id AS other,
                    0 AS seq,
                    t.state AS state,
                    t.ver AS ver,
                    t.at AS at,
                    '' AS digest
               FROM favorite AS t FORCE INDEX (PRIMARY)
              WHERE in_tbl = 'favorite'
                AND ((t.slot = in_after_slot
                      AND t.user_id = in_after_owner
                      AND t.video_id > in_after_other)
                     OR (t.slot = in_after_slot AND t.user_id > in_after_owner)
                     OR t.slot > in_after_slot)
              ORDER BY t.slot,
              t.user_id,
              t.video_id
              LIMIT in_limit)
             UNION ALL
            (SELECT t.slot,
                    t.video_id AS owner,
                    t.user_id AS other,
                    0 AS seq,
                    t.state AS state,
                    t.ver AS ver,
                    t.at AS at,
                    '' AS digest
               FROM liker AS t FORCE INDEX (PRIMARY)
              WHERE in_tbl = 'liker'
                AND ((t.slot = in_after_slot
                      AND t.video_id = in_after_owner
                      AND t.user_id > in_after_other)
                     OR (t.slot = in_after_slot AND t.video_id > in_after_owner)
                     OR t.slot > in_after_slot)
              ORDER BY t.slot,
              t.video_id,
              t.user_id
              LIMIT in_limit)
             UNION ALL
            (SELECT t.slot,
                    t.video_id AS owner,
                    t.author_id AS other,
                    t.comment_id AS seq,
                    IF(t.state = 'live', 1, 0) AS state,
                    t.ver AS ver,
                    t.created_at AS at,
                    '' AS digest
               FROM comment AS t FORCE INDEX (PRIMARY)
              WHERE in_tbl = 'comment'
                AND ((t.slot = in_after_slot
                      AND t.video_id = in_after_owner
                      AND t.comment_id > in_after_seq)
                     OR (t.slot = in_after_slot AND t.video_id > in_after_owner)
                     OR t.slot > in_after_slot)
              ORDER BY t.slot,
              t.video_id,
              t.comment_id
              LIMIT in_limit)
             UNION ALL
            (SELECT t.slot,
                    t.user_id AS owner,
                    t.video_id AS other,
                    t.comment_id AS seq,
                    t.state AS state,
                    t.ver AS ver,
                    t.at AS at,
                    '' AS digest
               FROM commented AS t FORCE INDEX (PRIMARY)
              WHERE in_tbl = 'commented'
                AND ((t.slot = in_after_slot
                      AND t.user_id = in_after_owner
                      AND t.video_id = in_after_other
                      AND t.comment_id > in_after_seq)
                     OR (t.slot = in_after_slot
                         AND t.user_id = in_after_owner
                         AND t.video_id > in_after_other)
                     OR (t.slot = in_after_slot AND t.user_id > in_after_owner)
                     OR t.slot > in_after_slot)
              ORDER BY t.slot,
              t.user_id,
              t.video_id,
              t.comment_id
              LIMIT in_limit)
             UNION ALL
            (SELECT t.slot,
                    t.user_id AS owner,
                    t.peer_id AS other,
                    t.seq AS seq,
                    t.state AS state,
                    IF(t.state = 1, 1, 2) AS ver,
                    t.at AS at,
                    MD5(CONCAT(t.message_id, HEX(t.op), t.text)) AS digest
               FROM message AS t FORCE INDEX (seq)
              WHERE in_tbl = 'sent'
                AND t.sent = 1
                AND ((t.slot = in_after_slot
                      AND t.user_id = in_after_owner
                      AND t.peer_id = in_after_other
                      AND t.sent = 1
                      AND t.seq > in_after_seq)
                     OR (t.slot = in_after_slot
                         AND t.user_id = in_after_owner
                         AND t.peer_id > in_after_other)
                     OR (t.slot = in_after_slot AND t.user_id > in_after_owner)
                     OR t.slot > in_after_slot)
              ORDER BY t.slot,
              t.user_id,
              t.peer_id,
              t.seq
              LIMIT in_limit)
             UNION ALL
            (SELECT t.slot,
                    t.user_id AS owner,
                    t.peer_id AS other,
                    t.seq AS seq,
                    t.state AS state,
                    IF(t.state = 1, 1, 2) AS ver,
                    t.at AS at,
                    MD5(CONCAT(t.message_id, HEX(t.op), t.text)) AS digest
               FROM message AS t FORCE INDEX (seq)
              WHERE in_tbl = 'received'
                AND t.sent = 0
                AND ((t.slot = in_after_slot
                      AND t.user_id = in_after_owner
                      AND t.peer_id = in_after_other
                      AND t.sent = 0
                      AND t.seq > in_after_seq)
                     OR (t.slot = in_after_slot
                         AND t.user_id = in_after_owner
                         AND t.peer_id > in_after_other)
                     OR (t.slot = in_after_slot AND t.user_id > in_after_owner)
                     OR t.slot > in_after_slot)
              ORDER BY t.slot,
              t.user_id,
              t.peer_id,
              t.seq
              LIMIT in_limit)) AS r
      LEFT JOIN slot_fence AS f FORCE INDEX (PRIMARY)
        ON f.slot = r.slot
      LEFT JOIN owner_home AS h FORCE INDEX (PRIMARY)
        ON h.slot = IF(f.has_home = 1, r.slot, NULL)
       AND h.owner_id = r.owner
      LEFT JOIN user AS u FORCE INDEX (PRIMARY)
        ON u.slot = IF(in_tbl = 'follower', r.slot, NULL)
       AND u.user_id = r.owner
       AND u.state = 'erased'
      LEFT JOIN video AS v FORCE INDEX (PRIMARY)
        ON v.slot = IF(in_tbl = 'liker', r.slot, NULL)
       AND v.video_id = r.owner
       AND v.state = 'deleted'
      LEFT JOIN outbox AS x FORCE INDEX (PRIMARY)
        ON x.slot = r.slot
       AND x.actor_id = r.owner
       AND x.kind = IF(in_tbl = 'sent', 'message', in_tbl)
       AND x.target_id = r.other
       AND x.seq = r.seq
       AND x.ver = r.ver
     ORDER BY r.slot,
              r.owner,
              IF(in_tbl = 'comment', 0, r.other),
              r.seq;
END$$

DELIMITER ;
