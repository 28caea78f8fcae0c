-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- user_profile: change avatar, background image and signature of users.
--
-- in_ops  batch; owner is the user; each operation has one or more of
--           avatar            base name of the picture, at most 64 ASCII characters; empty:
--                             the default one
--           background_image  the same
--           signature         at most 128 characters
--
-- What is absent or null stays as it is. At most one operation per user.
--
-- Answer  : n, code, slot, epoch, server
-- Answer 2: as _op_user_answer
-- Codes   : ok same (it is like that) notfound moved notready
-- Touches : SELECT, UPDATE user (by slot and user_id); journal
-- Errors  : 45400 malformed batch, or two operations on one user
-- Replays : same

DROP PROCEDURE IF EXISTS user_profile;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE user_profile (
    IN in_ops JSON
)
    SQL SECURITY DEFINER
    MODIFIES SQL DATA
    COMMENT 'v1: change the profiles of users'
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
               n                FOR ORDINALITY,
               avatar           VARCHAR(65) PATH '$.avatar',
               background_image VARCHAR(65) PATH '$.background_image',
               signature        VARCHAR(129) PATH '$.signature'
           )) AS j
     WHERE COALESCE(j.avatar, j.background_image, j.signature) IS NULL
        OR LENGTH(j.avatar) > 64
        OR LENGTH(j.avatar) <> CHAR_LENGTH(j.avatar)
        OR LENGTH(j.background_image) > 64
        OR LENGTH(j.background_image) <> CHAR_LENGTH(j.background_image)
        OR CHAR_LENGTH(j.signature) > 128;

    CALL _op_refuse(v_n, 'avatar, background_image or signature, none too long');

    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;

    CALL _op_fence(v_moving);
    CALL _op_distinct();
    CALL _op_user_lock();
    CALL _op_user_need();

    -- As bytes: trailing spaces count.
    UPDATE JSON_TABLE(in_ops, '$[*]' COLUMNS (
               n                FOR ORDINALITY,
               avatar           VARCHAR(64) PATH '$.avatar',
               background_image VARCHAR(64) PATH '$.background_image',
               signature        VARCHAR(128) PATH '$.signature'
           )) AS j
     STRAIGHT_JOIN op AS o
        ON o.n = j.n
     STRAIGHT_JOIN user AS u FORCE INDEX (PRIMARY)
        ON u.slot = o.slot
       AND u.user_id = o.user_id
       SET o.code = 'same'
     WHERE o.code = 'ok'
       AND COALESCE(j.avatar, u.avatar) = u.avatar
       AND COALESCE(j.background_image, u.background_image) = u.background_image
       AND CAST(COALESCE(j.signature, u.signature) AS BINARY) = CAST(u.signature AS BINARY);

    UPDATE JSON_TABLE(in_ops, '$[*]' COLUMNS (
               n                FOR ORDINALITY,
               avatar           VARCHAR(64) PATH '$.avatar',
               background_image VARCHAR(64) PATH '$.background_image',
               signature        VARCHAR(128) PATH '$.signature'
           )) AS j
     STRAIGHT_JOIN op AS o
        ON o.n = j.n
     STRAIGHT_JOIN user AS u FORCE INDEX (PRIMARY)
        ON u.slot = o.slot
       AND u.user_id = o.user_id
       SET u.avatar           = COALESCE(j.avatar, u.avatar),
           u.background_image = COALESCE(j.background_image, u.background_image),
           u.signature        = COALESCE(j.signature, u.signature),
           u.ver              = GREATEST(u.ver, o.epoch << 33) + 1
     WHERE o.code = 'ok';

    IF v_moving THEN
        CALL _slot_log_add_ops('user');
    END IF;

    CALL _op_user_lock();

    COMMIT;

    SELECT o.n,
           o.code,
           o.slot,
           o.epoch,
           o.server
      FROM op AS o
     ORDER BY o.n;

    CALL _op_user_answer();
END$$

DELIMITER ;
