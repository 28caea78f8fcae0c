-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
-- The data set of the benchmarks, loaded in bulk on one shard of a fresh cluster by the account that
-- migrates it. In a database of its own, so that the service never sees these routines.
--
-- Everything follows from numbers, so that every shard makes its own part without asking another:
--   user i      name bench0000001.., id of the i-th number after the base, session MD5('session' i)
--   video j     10 ms apart, 30 of each author from user 1 on
--   likes       4 picks of each user, by Zipf's law (s = 1) over the videos; every 20th user
--               30 different ones; the last 2 % of the users none
--   follows     5 picks of each user, by Zipf's law over the users; the last 2 % none
-- A pick that repeats an earlier one is left out. The k-th edge of a user has the version (1 << 33) + k:
-- every slot of a fresh cluster has the epoch 1. What users do later has versions above
-- (1 << 33) + 64, which sets it apart from the data set.
--
--   CALL bench_prepare(users, videos, base_ms)   base_ms: since 2025-01-01 UTC, in the past
--   CALL bench_load_users(base_ms)
--   CALL bench_load_videos(base_ms)
--   CALL bench_load_likes(base_ms)
--   CALL bench_load_follows(base_ms)

CREATE DATABASE IF NOT EXISTS bench;
USE bench;

-- The table of the bare writes, as durable as all others.
CREATE TABLE IF NOT EXISTS bench_write (
    id   BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    text VARCHAR(200) NOT NULL
)
    ENGINE = InnoDB;

-- Lists of ids, which are not data of the service and need no log.
DROP TABLE IF EXISTS bench_user, bench_video, bench_k, bench_pick;

CREATE TABLE bench_user (
    i       INT UNSIGNED NOT NULL PRIMARY KEY,
    slot    INT UNSIGNED NOT NULL,
    user_id BIGINT UNSIGNED NOT NULL
)
    ENGINE = MyISAM;

CREATE TABLE bench_video (
    j        INT UNSIGNED NOT NULL PRIMARY KEY,
    slot     INT UNSIGNED NOT NULL,
    video_id BIGINT UNSIGNED NOT NULL,
    i        INT UNSIGNED NOT NULL
)
    ENGINE = MyISAM;

CREATE TABLE bench_k (
    k INT UNSIGNED NOT NULL PRIMARY KEY
)
    ENGINE = MyISAM;

CREATE TABLE bench_pick (
    i INT UNSIGNED NOT NULL,
    j INT UNSIGNED NOT NULL,
    k INT UNSIGNED NOT NULL,
    PRIMARY KEY (i, j)
)
    ENGINE = MyISAM;

DROP PROCEDURE IF EXISTS bench_prepare;
DROP PROCEDURE IF EXISTS bench_load_users;
DROP PROCEDURE IF EXISTS bench_load_videos;
DROP PROCEDURE IF EXISTS bench_load_likes;
DROP PROCEDURE IF EXISTS bench_load_follows;

DELIMITER $$

-- The lists of all users and videos, on whichever shard they are.
CREATE PROCEDURE bench_prepare (
    IN in_users   INT UNSIGNED,
    IN in_videos  INT UNSIGNED,
    IN in_base_ms BIGINT
)
    MODIFIES SQL DATA
BEGIN
    DECLARE v_n INT UNSIGNED DEFAULT 1;

    IF (SELECT COUNT(*) FROM doushard.account) > 0
       OR (SELECT MAX(f.epoch) FROM doushard.slot_fence AS f) > 1 THEN
        SIGNAL SQLSTATE '45400' SET MESSAGE_TEXT = 'the data set is for a fresh cluster';
    END IF;

    INSERT INTO bench_k (k)
    VALUES (1);
    WHILE v_n < 32 DO
        INSERT INTO bench_k (k)
        SELECT b.k + v_n
          FROM bench_k AS b;
        SET v_n = v_n * 2;
    END WHILE;

    INSERT INTO bench_user (i, slot, user_id)
    SELECT d.i,
           d.slot,
           ((in_base_ms * 8 + d.i) DIV 8) * 8192 + d.slot * 8 + (in_base_ms * 8 + d.i) MOD 8
      FROM (SELECT n.i,
                   CRC32(CONCAT('bench', LPAD(n.i, 7, '0'))) MOD 1024 AS slot
              FROM (SELECT a.k + 32 * (b.k - 1) + 1024 * (c.k - 1) + 32768 * (e.k - 1) AS i
                      FROM bench_k AS a
                      JOIN bench_k AS b
                      JOIN bench_k AS c
                      JOIN bench_k AS e) AS n
             WHERE n.i <= in_users) AS d;

    INSERT INTO bench_video (j, slot, video_id, i)
    SELECT u.i,
           a.slot,
           (in_base_ms + 1000000 + u.i * 10) * 8192 + a.slot * 8,
           a.i
      FROM bench_user AS u
      JOIN bench_user AS a
        ON a.i = (u.i - 1) MOD (in_videos DIV 30) + 1
     WHERE u.i <= in_videos;
END$$

CREATE PROCEDURE bench_load_users (
    IN in_base_ms BIGINT
)
    MODIFIES SQL DATA
BEGIN
    DECLARE v_at BIGINT DEFAULT in_base_ms + 1735689600000;

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    START TRANSACTION;

    INSERT INTO doushard.account (slot, name, user_id, op, created_at)
    SELECT u.slot,
           CONCAT('bench', LPAD(u.i, 7, '0')),
           u.user_id,
           UNHEX(MD5(CONCAT('user', u.i))),
           v_at
      FROM bench_user AS u
      JOIN doushard.slot_fence AS f
        ON f.slot = u.slot
       AND f.answer = 'ok'
     ORDER BY u.slot,
              u.i;

    INSERT INTO doushard.user (slot, user_id, name, password_hash, ver, edge_ver, mail_ver,
                               created_at, op)
    SELECT a.slot,
           a.user_id,
           CONVERT(a.name USING utf8mb4),
           'none',
           (1 << 33) + 1,
           (1 << 33) + 64,
           1 << 33,
           v_at,
           a.op
      FROM doushard.account AS a
     ORDER BY a.slot,
              a.user_id;

    INSERT INTO doushard.inbound (slot, user_id, ver, follower_ver, mail_ver)
    SELECT u.slot,
           u.user_id,
           (1 << 33) + 1,
           1 << 33,
           1 << 33
      FROM doushard.user AS u
     ORDER BY u.slot,
              u.user_id;

    INSERT INTO doushard.session (slot, user_id, session, created_at, seen_at, expires_at)
    SELECT u.slot,
           u.user_id,
           UNHEX(MD5(CONCAT('session', u.i))),
           v_at,
           ROUND(UNIX_TIMESTAMP(NOW(3)) * 1000),
           v_at + 30 * 86400000
      FROM bench_user AS u
      JOIN doushard.slot_fence AS f
        ON f.slot = u.slot
       AND f.answer = 'ok'
     ORDER BY u.slot,
              u.user_id;

    UPDATE doushard.slot_seq AS q
       SET q.last = GREATEST(q.last, in_base_ms * 8 + (SELECT COUNT(*) FROM bench_user) + 1);

    INSERT IGNORE INTO doushard.slot_seq (slot, last)
    SELECT f.slot,
           in_base_ms * 8 + (SELECT COUNT(*) FROM bench_user) + 1
      FROM doushard.slot_fence AS f
     WHERE f.answer = 'ok'
       AND f.slot < 1024;

    COMMIT;
END$$

CREATE PROCEDURE bench_load_videos (
    IN in_base_ms BIGINT
)
    MODIFIES SQL DATA
BEGIN
    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    START TRANSACTION;

    INSERT INTO doushard.video (slot, video_id, author_id, title, media, sha256, size_bytes,
                                duration_ms, width, height, published_at, ver, comment_ver, op)
    SELECT v.slot,
           v.video_id,
           a.user_id,
           CONCAT('video ', v.j, ' of the benchmark'),
           MD5(CONCAT('media', v.j)),
           UNHEX(SHA2(v.j, 256)),
           1000000 + v.j,
           15000,
           720,
           1280,
           v.video_id DIV 8192 + 1735689600000,
           (1 << 33) + 1,
           1 << 33,
           UNHEX(MD5(CONCAT('video', v.j)))
      FROM bench_video AS v
      JOIN bench_user AS a
        ON a.i = v.i
      JOIN doushard.slot_fence AS f
        ON f.slot = v.slot
       AND f.answer = 'ok'
     ORDER BY v.slot,
              v.video_id;

    UPDATE doushard.user AS u
      JOIN (SELECT v.slot,
                   v.author_id,
                   COUNT(*) AS n
              FROM doushard.video AS v
             GROUP BY v.slot,
                      v.author_id) AS d
        ON d.slot = u.slot
       AND d.author_id = u.user_id
       SET u.work_count = d.n,
           u.ver        = u.ver + d.n;

    UPDATE doushard.slot_seq AS q
      JOIN (SELECT v.slot,
                   MAX(v.published_at) - 1735689600000 AS ms
              FROM doushard.video AS v
             GROUP BY v.slot) AS d
        ON d.slot = q.slot
       SET q.last = GREATEST(q.last, (d.ms + 1) * 8);

    COMMIT;
END$$

CREATE PROCEDURE bench_load_likes (
    IN in_base_ms BIGINT
)
    MODIFIES SQL DATA
BEGIN
    DECLARE v_at     BIGINT DEFAULT in_base_ms + 1735689600000 + 2000000;
    DECLARE v_users  INT UNSIGNED DEFAULT (SELECT COUNT(*) FROM bench_user);
    DECLARE v_videos INT UNSIGNED DEFAULT (SELECT COUNT(*) FROM bench_video);

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    DELETE FROM bench_pick;

    INSERT IGNORE INTO bench_pick (i, j, k)
    SELECT u.i,
           IF(u.i MOD 20 = 0,
              (u.i * 31 + b.k * 337) MOD v_videos + 1,
              FLOOR(EXP(CRC32(CONCAT('like', u.i, ',', b.k)) / 4294967296 * LN(v_videos + 1)))),
           b.k
      FROM bench_user AS u
      JOIN bench_k AS b
        ON b.k <= IF(u.i MOD 20 = 0, 30, 4)
     WHERE u.i <= v_users - v_users DIV 50
     ORDER BY u.i,
              b.k;

    START TRANSACTION;

    INSERT INTO doushard.favorite (slot, user_id, video_id, state, ver, at)
    SELECT u.slot,
           u.user_id,
           v.video_id,
           1,
           (1 << 33) + p.k,
           v_at + p.k
      FROM bench_pick AS p
      JOIN bench_user AS u
        ON u.i = p.i
      JOIN doushard.slot_fence AS f
        ON f.slot = u.slot
       AND f.answer = 'ok'
      JOIN bench_video AS v
        ON v.j = p.j
     ORDER BY u.slot,
              u.user_id,
              v.video_id;

    INSERT INTO doushard.liker (slot, video_id, user_id, state, ver, at)
    SELECT v.slot,
           v.video_id,
           u.user_id,
           1,
           (1 << 33) + p.k,
           v_at + p.k
      FROM bench_pick AS p
      JOIN bench_video AS v
        ON v.j = p.j
      JOIN doushard.slot_fence AS f
        ON f.slot = v.slot
       AND f.answer = 'ok'
      JOIN bench_user AS u
        ON u.i = p.i
     ORDER BY v.slot,
              v.video_id,
              u.user_id;

    UPDATE doushard.user AS u
      JOIN (SELECT e.slot,
                   e.user_id,
                   COUNT(*) AS n
              FROM doushard.favorite AS e
             GROUP BY e.slot,
                      e.user_id) AS d
        ON d.slot = u.slot
       AND d.user_id = u.user_id
       SET u.favorite_count = d.n,
           u.ver            = u.ver + d.n;

    UPDATE doushard.video AS v
      JOIN (SELECT e.slot,
                   e.video_id,
                   COUNT(*) AS n
              FROM doushard.liker AS e
             GROUP BY e.slot,
                      e.video_id) AS d
        ON d.slot = v.slot
       AND d.video_id = v.video_id
       SET v.favorite_count = d.n,
           v.ver            = v.ver + d.n;

    UPDATE doushard.inbound AS i
      JOIN (SELECT v.slot,
                   v.author_id,
                   SUM(v.favorite_count) AS n
              FROM doushard.video AS v
             GROUP BY v.slot,
                      v.author_id) AS d
        ON d.slot = i.slot
       AND d.author_id = i.user_id
       SET i.total_favorited = d.n,
           i.ver             = i.ver + d.n;

    COMMIT;
END$$

CREATE PROCEDURE bench_load_follows (
    IN in_base_ms BIGINT
)
    MODIFIES SQL DATA
BEGIN
    DECLARE v_at    BIGINT DEFAULT in_base_ms + 1735689600000 + 3000000;
    DECLARE v_users INT UNSIGNED DEFAULT (SELECT COUNT(*) FROM bench_user);

    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    DELETE FROM bench_pick;

    -- Versions above those of the likes.
    INSERT IGNORE INTO bench_pick (i, j, k)
    SELECT d.i,
           d.j,
           d.k + 32
      FROM (SELECT u.i,
                   FLOOR(EXP(CRC32(CONCAT('follow', u.i, ',', b.k)) / 4294967296
                             * LN(v_users + 1))) AS j,
                   b.k
              FROM bench_user AS u
              JOIN bench_k AS b
                ON b.k <= 5
             WHERE u.i <= v_users - v_users DIV 50) AS d
     WHERE d.j <> d.i
     ORDER BY d.i,
              d.k;

    START TRANSACTION;

    INSERT INTO doushard.follow (slot, user_id, followed_id, state, ver, at)
    SELECT u.slot,
           u.user_id,
           t.user_id,
           1,
           (1 << 33) + p.k,
           v_at + p.k
      FROM bench_pick AS p
      JOIN bench_user AS u
        ON u.i = p.i
      JOIN doushard.slot_fence AS f
        ON f.slot = u.slot
       AND f.answer = 'ok'
      JOIN bench_user AS t
        ON t.i = p.j
     ORDER BY u.slot,
              u.user_id,
              t.user_id;

    INSERT INTO doushard.follower (slot, user_id, follower_id, state, ver, at, pos)
    SELECT t.slot,
           t.user_id,
           u.user_id,
           1,
           (1 << 33) + p.k,
           v_at + p.k,
           (1 << 33) + ROW_NUMBER() OVER (PARTITION BY t.i ORDER BY u.i)
      FROM bench_pick AS p
      JOIN bench_user AS t
        ON t.i = p.j
      JOIN doushard.slot_fence AS f
        ON f.slot = t.slot
       AND f.answer = 'ok'
      JOIN bench_user AS u
        ON u.i = p.i
     ORDER BY t.slot,
              t.user_id,
              u.user_id;

    UPDATE doushard.user AS u
      JOIN (SELECT e.slot,
                   e.user_id,
                   COUNT(*) AS n
              FROM doushard.follow AS e
             GROUP BY e.slot,
                      e.user_id) AS d
        ON d.slot = u.slot
       AND d.user_id = u.user_id
       SET u.follow_count = d.n,
           u.ver          = u.ver + d.n;

    UPDATE doushard.inbound AS i
      JOIN (SELECT e.slot,
                   e.user_id,
                   COUNT(*) AS n,
                   MAX(e.pos) AS pos
              FROM doushard.follower AS e
             GROUP BY e.slot,
                      e.user_id) AS d
        ON d.slot = i.slot
       AND d.user_id = i.user_id
       SET i.follower_count = d.n,
           i.follower_ver   = GREATEST(i.follower_ver, d.pos),
           i.ver            = i.ver + d.n;

    COMMIT;
END$$

DELIMITER ;
