/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
#include "shard/move_query.h"

#include <errmsg.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/base/clock.h"

#include "shard/dbconn_impl.h"

/* Which of what the library waits for has happened; 0: nothing in time. */
static int await(MYSQL *mysql, int wait, int64_t deadline_ms)
{
    struct pollfd fd = {.fd = mysql_get_socket(mysql),
                        .events = dbconn_poll_events(wait)};
    int64_t left_ms = deadline_ms - clock_mono_ms();

    while (left_ms > 0) {
        (void)poll(&fd, 1, (int)left_ms);
        if (fd.revents != 0) {
            return dbconn_happened(fd.revents, wait);
        }
        left_ms = deadline_ms - clock_mono_ms();
    }
    return 0;
}

/* Send TEXT on MYSQL, and read how it ended, or that rows follow. */
static unsigned ask(MYSQL *mysql, const char *text, int64_t deadline_ms)
{
    int ret = 0;
    int wait = mysql_real_query_start(&ret, mysql, text, strlen(text));

    while (wait != 0) {
        int happened = await(mysql, wait, deadline_ms);
        if (happened == 0) {
            return CR_SERVER_LOST;
        }
        wait = mysql_real_query_cont(&ret, mysql, happened);
    }
    return ret == 0 ? 0 : mysql_errno(mysql);
}

static unsigned tell(struct move_link *link, const char *text, unsigned error)
{
    const char *why = mysql_error(link->conn->mysql);

    if (error != 0) {
        (void)snprintf(link->why, sizeof link->why, "%s: %s", text,
                       why[0] == '\0' ? "no answer in time" : why);
    }
    return error;
}

unsigned query_run(struct move_link *link, const char *text)
{
    int64_t deadline_ms = clock_mono_ms() + LINK_CALL_MS;

    return tell(link, text, ask(link->conn->mysql, text, deadline_ms));
}

/* The rows that follow; NULL: they do not come, or there are none. The caller frees. */
static MYSQL_RES *rows_of(MYSQL *mysql, int64_t deadline_ms)
{
    MYSQL_RES *rows = NULL;
    int wait = mysql_store_result_start(&rows, mysql);

    while (wait != 0) {
        int happened = await(mysql, wait, deadline_ms);
        if (happened == 0) {
            return NULL;
        }
        wait = mysql_store_result_cont(&rows, mysql, happened);
    }
    return rows;
}

/* The number in the first column of the first of ROWS. */
static bool first_number(MYSQL_RES *rows, int64_t *number)
{
    MYSQL_ROW row = rows == NULL ? NULL : mysql_fetch_row(rows);
    char *end;

    if (row == NULL || row[0] == NULL) {
        return false;
    }
    errno = 0;
    *number = strtoll(row[0], &end, 10);
    return errno == 0 && end != row[0] && (*end == '\0' || *end == '.');
}

bool query_number(struct move_link *link, const char *text, int limit_ms, int64_t *number)
{
    struct move_link own;

    link_init(&own, link->name, link->target, link->durability_exempt);
    bool is_open = link_open(&own);
    int64_t deadline_ms = clock_mono_ms() + limit_ms;
    bool is_done =
        is_open && tell(&own, text, ask(own.conn->mysql, text, deadline_ms)) == 0;
    if (is_done) {
        MYSQL_RES *rows = rows_of(own.conn->mysql, deadline_ms);
        is_done = first_number(rows, number);
        mysql_free_result(rows);
        if (!is_done) {
            (void)snprintf(own.why, sizeof own.why, "%.150s: answers no number", text);
        }
    }
    if (!is_done) {
        memcpy(link->why, own.why, sizeof link->why);
    }
    link_close(&own);
    return is_done;
}
