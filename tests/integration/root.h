/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* SQL as root on the shards of a test, over one connection to each that lasts as long
 * as the program. Only for one thread at a time.
 *
 * TEST_SOCKET_0: the socket of shard 0; TEST_ROOT_FILE: an option file with root's
 * password. */
#ifndef DOUSHARD_TESTS_ROOT_H
#define DOUSHARD_TESTS_ROOT_H

#include <mysql.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SHARDS_MAX 8

static inline const char *live_env(const char *name)
{
    const char *value = getenv(name); // NOLINT(concurrency-mt-unsafe)

    if (value == NULL) {
        fprintf(stderr, "%s is not set: run tests/integration/*.test.js\n", name);
        exit(2); // NOLINT(concurrency-mt-unsafe)
    }
    return value;
}

static inline const char *live_env_of(const char *name, size_t i)
{
    char full[64];

    snprintf(full, sizeof full, "%s_%zu", name, i);
    return live_env(full);
}

/* A new connection for the caller, who closes it. */
static inline MYSQL *root_connect(size_t shard)
{
    MYSQL *mysql = mysql_init(NULL);

    assert_non_null(mysql);
    assert_int_equal(
        mysql_options(mysql, MYSQL_READ_DEFAULT_FILE, live_env("TEST_ROOT_FILE")), 0);
    if (mysql_real_connect(mysql, NULL, NULL, NULL, "doushard", 0,
                           live_env_of("TEST_SOCKET", shard),
                           CLIENT_MULTI_STATEMENTS) == NULL) {
        fail_msg("root on shard %zu: %s", shard, mysql_error(mysql));
    }
    return mysql;
}

/* The connection to SHARD; a new one if it has ended, since shards are restarted. */
static inline MYSQL *root_of(size_t shard)
{
    static MYSQL *connections[SHARDS_MAX];
    MYSQL *mysql = connections[shard];

    if (mysql != NULL && mysql_ping(mysql) != 0) {
        mysql_close(mysql);
        mysql = NULL;
    }
    connections[shard] = mysql == NULL ? root_connect(shard) : mysql;
    return connections[shard];
}

/* Runs the statements TEXT. LINE (SIZE bytes; NULL: not wanted) gets the first value
 * of the first row of the results, "" if there is none. */
static inline void root_run(MYSQL *mysql, const char *text, char *line, size_t size)
{
    bool is_wanted = line != NULL;
    int more = mysql_real_query(mysql, text, (unsigned long)strlen(text));

    if (is_wanted) {
        line[0] = '\0';
    }
    while (more == 0) {
        MYSQL_RES *rows = mysql_store_result(mysql);
        if (rows == NULL && mysql_errno(mysql) != 0) {
            break;
        }
        MYSQL_ROW row = rows == NULL ? NULL : mysql_fetch_row(rows);
        if (row != NULL && is_wanted) {
            snprintf(line, size, "%s", row[0] == NULL ? "NULL" : row[0]);
            is_wanted = false;
        }
        mysql_free_result(rows);
        more = mysql_next_result(mysql);
    }
    if (mysql_errno(mysql) != 0) {
        fail_msg("root: %s: %s", mysql_error(mysql), text);
    }
}

/* The same on a shard. */
static inline void root_sql(size_t shard, const char *text, char *line, size_t size)
{
    root_run(root_of(shard), text, line, size);
}

/* The number that a query returns on a shard. */
static inline long long root_number(size_t shard, const char *text)
{
    char line[256];

    root_sql(shard, text, line, sizeof line);
    return strtoll(line, NULL, 10);
}

#endif
