-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
-- The database and the accounts of one shard; run first, by an administrator, any number
-- of times.
--
-- doushard_owner    definer of every routine: holds the privileges on the tables; locked
-- doushard_killer   definer only of conn_kill: may end other connections; locked
-- doushard_disk     definer only of shard_free: may ask how full the disks are; locked
-- doushard_app      the service: EXECUTE on the public routines, nothing else
-- doushard_admin    the operator: EXECUTE on all public and administration routines
-- doushard_monitor  EXECUTE on the administration routines that only read
-- doushard_mover    EXECUTE on the routines for moving slots
--
-- Accounts that log in are made with a password that nothing matches; scripts/migrate sets the real
-- ones from files, so that none appears in a command line.
--
-- They may connect from any host, so that the same account works by TCP and by socket; the shard
-- itself should listen only on 127.0.0.1 or a private network. To restrict that, rename the account
-- to the network of the servers, once, after this file:
--     RENAME USER 'doushard_app'@'%' TO 'doushard_app'@'10.0.0.0/255.255.255.0';
-- and use the same name in grants.sql. An anonymous account ''@'localhost' (old
-- installations have one) would win over 'doushard_app'@'%' for local connections: drop it.

CREATE DATABASE IF NOT EXISTS doushard
    CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE USER IF NOT EXISTS 'doushard_owner'@'localhost' ACCOUNT LOCK;
CREATE USER IF NOT EXISTS 'doushard_killer'@'localhost' ACCOUNT LOCK;
CREATE USER IF NOT EXISTS 'doushard_disk'@'localhost' ACCOUNT LOCK;

CREATE USER IF NOT EXISTS 'doushard_app'@'%'
    /*M!100401 IDENTIFIED VIA mysql_native_password USING 'invalid' */
    /*!80018 IDENTIFIED BY RANDOM PASSWORD */;
CREATE USER IF NOT EXISTS 'doushard_admin'@'%'
    /*M!100401 IDENTIFIED VIA mysql_native_password USING 'invalid' */
    /*!80018 IDENTIFIED BY RANDOM PASSWORD */;
CREATE USER IF NOT EXISTS 'doushard_monitor'@'%'
    /*M!100401 IDENTIFIED VIA mysql_native_password USING 'invalid' */
    /*!80018 IDENTIFIED BY RANDOM PASSWORD */;
CREATE USER IF NOT EXISTS 'doushard_mover'@'%'
    /*M!100401 IDENTIFIED VIA mysql_native_password USING 'invalid' */
    /*!80018 IDENTIFIED BY RANDOM PASSWORD */;

GRANT SELECT, INSERT, UPDATE, DELETE, CREATE TEMPORARY TABLES, EXECUTE
   ON doushard.*
   TO 'doushard_owner'@'localhost';

GRANT /*M!100502 CONNECTION ADMIN */ /*!80000 CONNECTION_ADMIN */
   ON *.*
   TO 'doushard_killer'@'localhost';

GRANT SELECT, EXECUTE
   ON doushard.*
   TO 'doushard_disk'@'localhost';

-- FILE, because the plugin DISKS answers only accounts with it.
GRANT FILE
   ON *.*
   TO 'doushard_disk'@'localhost';
