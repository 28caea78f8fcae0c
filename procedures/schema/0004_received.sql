-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
-- Version 4: an index of messages for who polls a chat for what was received: neither the
-- messages that the owner sent since nor those that were taken back are read.

USE doushard;

-- Stops here when the version before is not installed: an insert that breaks this CHECK.
DROP TEMPORARY TABLE IF EXISTS predecessor;
CREATE TEMPORARY TABLE predecessor (
    found INT NOT NULL,
    CONSTRAINT schema_version_3_comes_first CHECK (found = 1)
);
INSERT INTO predecessor (found)
SELECT COUNT(*)
  FROM schema_version AS sv
 WHERE sv.version = 3;
DROP TEMPORARY TABLE predecessor;

-- Not every server knows IF NOT EXISTS for an index, so that the statement is chosen: nothing
-- is to be done where the file broke off after it. Written to meanwhile, the table stays in
-- use; a server that cannot do that refuses.
SELECT IF(COUNT(*) = 0,
          'ALTER TABLE message
             ADD INDEX received (slot, user_id, peer_id, sent, state, at),
             ALGORITHM = INPLACE,
             LOCK = NONE',
          'DO 0')
  INTO @schema_statement
  FROM information_schema.statistics AS st
 WHERE st.table_schema = 'doushard'
   AND st.table_name = 'message'
   AND st.index_name = 'received';
PREPARE schema_statement FROM @schema_statement;
EXECUTE schema_statement;
DEALLOCATE PREPARE schema_statement;

INSERT INTO schema_version (version, slug, applied_at, applied_by, checksum)
SELECT 4,
       'received',
       TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(3)) DIV 1000,
       CURRENT_USER(),
       COALESCE(@schema_checksum, '')
  FROM (SELECT 1 AS one) AS d
 WHERE NOT EXISTS (SELECT 1
                     FROM schema_version AS sv
                    WHERE sv.version = 4);
