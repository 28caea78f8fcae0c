-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
--
-- relation_get: whether users follow others, one each.
--
-- in_ops  batch, in any order; owner is the user who looks; each operation has
--           target  id of the other user
--
-- Answer  : n, code, slot, epoch, server, edge_ver (of the lists of whom and what he follows and
--           likes), state (1: he does; 0: he does not)
-- Answer 2: as _op_refusals (when this shard does not serve all owners)
-- Codes   : ok moved notready
-- Touches : SELECT slot_fence (by slot), owner_home, user (by slot and user_id), follow (by key),
--           in one snapshot
-- Errors  : 45400 malformed batch
-- Replays : reads only

DROP PROCEDURE IF EXISTS relation_get;

DELIMITER $$

CREATE DEFINER = doushard_owner@localhost PROCEDURE relation_get (
    IN in_ops JSON
)
    SQL SECURITY DEFINER
    READS SQL DATA
    COMMENT 'v1: whether users follow others'
BEGIN
    DECLARE v_n INT;

    CALL _op_check(in_ops);

    SELECT MIN(j.n)
      INTO v_n
      FROM JSON_TABLE(in_ops, '$[*]' COLUMNS (
               n      FOR ORDINALITY,
               target VARCHAR(24) PATH '$.target'
           )) AS j
     WHERE NOT COALESCE(CAST(CAST(j.target AS UNSIGNED) AS CHAR) = j.target, FALSE);

    CALL _op_refuse(v_n, 'unsigned integer target');

    SELECT j.n,
           'ok' AS code,
           f.slot,
           f.epoch,
           f.server,
           GREATEST(COALESCE(u.edge_ver, 0), f.epoch << 33) AS edge_ver,
           COALESCE(w.state, 0) AS state
      FROM JSON_TABLE(in_ops, '$[*]' COLUMNS (
               n      FOR ORDINALITY,
               slot   INT UNSIGNED PATH '$.slot',
               epoch  BIGINT UNSIGNED PATH '$.epoch',
               owner  BIGINT UNSIGNED PATH '$.owner',
               target BIGINT UNSIGNED PATH '$.target'
           )) AS j
     STRAIGHT_JOIN slot_fence AS f FORCE INDEX (PRIMARY)
        ON f.slot = j.slot
       AND f.answer = 'ok'
       AND f.epoch >= j.epoch
      LEFT JOIN owner_home AS h FORCE INDEX (PRIMARY)
        ON h.slot = IF(f.has_home = 1, f.slot, NULL)
       AND h.owner_id = j.owner
      LEFT JOIN user AS u FORCE INDEX (PRIMARY)
        ON u.slot = f.slot
       AND u.user_id = j.owner
      LEFT JOIN follow AS w FORCE INDEX (PRIMARY)
        ON w.slot = f.slot
       AND w.user_id = j.owner
       AND w.followed_id = j.target
     WHERE h.owner_id IS NULL
     ORDER BY j.n;

    IF FOUND_ROWS() < JSON_LENGTH(in_ops) THEN
        CALL _op_refusals(in_ops);
    END IF;
END$$

DELIMITER ;
