/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Prepared CALLs on connections: one CALL is a chain of phases, and every phase is one
 * operation of the library. */
#include "shard/dbexec.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "shard/dbconn_impl.h"

/* Most connections that dbexec_run() can wait for at once: one per server. */
#define EXECS_MAX 256

static MYSQL_STMT *stmt_of(const struct dbexec *exec)
{
    return exec->conn->stmt[exec->proc];
}

/* Begin the operation of the current phase. */
static void phase_start(struct dbexec *exec)
{
    struct dbconn *conn = exec->conn;
    MYSQL_STMT *stmt = stmt_of(exec);
    const char *sql = proc_get(exec->proc)->sql;

    switch (conn->phase) {
    case PHASE_PREPARE:
        conn->wait = mysql_stmt_prepare_start(&conn->ret, stmt, sql, strlen(sql));
        break;
    case PHASE_EXECUTE:
        conn->wait = mysql_stmt_execute_start(&conn->ret, stmt);
        break;
    case PHASE_STORE:
        conn->wait = mysql_stmt_store_result_start(&conn->ret, stmt);
        break;
    case PHASE_NEXT:
        conn->wait = mysql_stmt_next_result_start(&conn->ret, stmt);
        break;
    case PHASE_IDLE:
        break;
    }
}

/* Go on with it after EVENTS. */
static void phase_continue(struct dbexec *exec, int events)
{
    struct dbconn *conn = exec->conn;
    MYSQL_STMT *stmt = stmt_of(exec);

    switch (conn->phase) {
    case PHASE_PREPARE:
        conn->wait = mysql_stmt_prepare_cont(&conn->ret, stmt, events);
        break;
    case PHASE_EXECUTE:
        conn->wait = mysql_stmt_execute_cont(&conn->ret, stmt, events);
        break;
    case PHASE_STORE:
        conn->wait = mysql_stmt_store_result_cont(&conn->ret, stmt, events);
        break;
    case PHASE_NEXT:
        conn->wait = mysql_stmt_next_result_cont(&conn->ret, stmt, events);
        break;
    case PHASE_IDLE:
        break;
    }
}

static void finish(struct dbexec *exec, enum db_status status)
{
    exec->status = status;
    exec->conn->phase = PHASE_IDLE;
}

/* Errors after which nothing was done and the call is worth repeating: lock wait 1205,
 * deadlock 1213, MariaDB's snapshot conflict 1020; and, for the moment in which migrate
 * replaces a routine, no such routine 1305 and no EXECUTE on it 1370. */
static bool is_worth_repeating(unsigned int code)
{
    return code == 1205 || code == 1213 || code == 1020 || code == 1305 || code == 1370;
}

/* Errors that end a session rather than a statement: the client library's own (2000 to
 * 2999), and the server's shutdown 1053, interrupted 1317, connection killed 1927
 * (MariaDB) and 3169, aborted 1152. */
static bool is_session_end(unsigned int code)
{
    return (code >= 2000 && code < 3000) || code == 1053 || code == 1317 ||
           code == 1927 || code == 3169 || code == 1152;
}

/* The current operation reported an error. */
static void fail(struct dbexec *exec)
{
    struct dbconn *conn = exec->conn;
    MYSQL_STMT *stmt = stmt_of(exec);
    unsigned int code = mysql_stmt_errno(stmt);

    (void)snprintf(exec->detail, sizeof exec->detail, "%s: %u %s",
                   proc_get(exec->proc)->routine, code, mysql_stmt_error(stmt));
    if (is_session_end(code)) {
        conn->is_broken = true;
        finish(exec, conn->phase == PHASE_PREPARE ? DB_NOT_SENT : DB_UNKNOWN);
        return;
    }
    if (conn->phase == PHASE_PREPARE) {
        conn->stmt[exec->proc] = NULL; /* not usable: prepare afresh the next time */
    }
    if (outcome_from_sqlstate(mysql_stmt_sqlstate(stmt), &exec->refusal)) {
        finish(exec, DB_REFUSED);
    } else {
        finish(exec, is_worth_repeating(code) ? DB_AGAIN : DB_FAILED);
    }
    if (conn->stmt[exec->proc] == NULL) {
        mysql_stmt_close(stmt);
    }
}

/* The phase's operation is complete without error: what comes next. */
static void phase_next(struct dbexec *exec)
{
    struct dbconn *conn = exec->conn;
    MYSQL_STMT *stmt = stmt_of(exec);

    switch (conn->phase) {
    case PHASE_PREPARE:
        conn->phase = PHASE_EXECUTE;
        break;
    case PHASE_EXECUTE:
    case PHASE_NEXT:
        if (conn->phase == PHASE_NEXT && conn->ret == -1) {
            finish(exec, exec->status);
        } else {
            conn->phase = mysql_stmt_field_count(stmt) > 0 ? PHASE_STORE : PHASE_NEXT;
        }
        break;
    case PHASE_STORE:
        if (exec->status == DB_OK && !dbread_append(stmt, exec->arena, &exec->results)) {
            /* Go on reading: the connection must come back clean. */
            exec->status = DB_NOMEM;
            (void)snprintf(exec->detail, sizeof exec->detail,
                           "the answer of %s does not fit",
                           proc_get(exec->proc)->routine);
        }
        mysql_stmt_free_result(stmt);
        conn->phase = PHASE_NEXT;
        break;
    case PHASE_IDLE:
        break;
    }
}

static bool bind_arguments(struct dbexec *exec)
{
    MYSQL_STMT *stmt = stmt_of(exec);
    MYSQL_BIND bind[PROC_ARGS_MAX] = {0};
    unsigned n = proc_get(exec->proc)->n_args;

    for (unsigned i = 0; i < n; i++) {
        const struct dbarg *arg = &exec->args[i];
        if (arg->kind == DBARG_NUMBER) {
            bind[i].buffer_type = MYSQL_TYPE_LONGLONG;
            bind[i].is_unsigned = 1;
            bind[i].buffer = (void *)(uintptr_t)&arg->number;
        } else {
            bind[i].buffer_type = MYSQL_TYPE_STRING;
            bind[i].buffer = (void *)(uintptr_t)arg->text;
            bind[i].buffer_length = arg->len;
        }
    }
    return mysql_stmt_param_count(stmt) == n &&
           (n == 0 || !mysql_stmt_bind_param(stmt, bind));
}

/* Run phases until one has to wait or the CALL is over. */
static void advance(struct dbexec *exec)
{
    struct dbconn *conn = exec->conn;

    while (conn->phase != PHASE_IDLE && conn->wait == 0) {
        if (conn->ret > 0) {
            fail(exec);
            return;
        }
        phase_next(exec);
        if (conn->phase == PHASE_EXECUTE && !bind_arguments(exec)) {
            (void)snprintf(exec->detail, sizeof exec->detail,
                           "%s has other parameters here", proc_get(exec->proc)->routine);
            finish(exec, DB_FAILED);
        }
        conn->ret = 0;
        phase_start(exec);
    }
}

static void begin(struct dbexec *exec)
{
    struct dbconn *conn = exec->conn;
    MYSQL_STMT **stmt = &conn->stmt[exec->proc];
    const my_bool yes = 1;

    CHECK(conn->phase == PHASE_IDLE);
    exec->status = DB_OK;
    exec->results = NULL;
    exec->is_late = false;
    exec->detail[0] = '\0';
    conn->ret = 0;
    conn->wait = 0;
    if (*stmt != NULL) {
        /* As if the preparation had just succeeded. */
        conn->phase = PHASE_PREPARE;
        advance(exec);
        return;
    }
    *stmt = mysql_stmt_init(conn->mysql);
    if (*stmt == NULL ||
        mysql_stmt_attr_set(*stmt, STMT_ATTR_UPDATE_MAX_LENGTH, &yes) != 0) {
        (void)snprintf(exec->detail, sizeof exec->detail, "out of memory");
        conn->is_broken = true;
        finish(exec, DB_NOT_SENT);
        return;
    }
    conn->phase = PHASE_PREPARE;
    phase_start(exec);
    advance(exec);
}

/* The deadline has passed with the CALL under way. */
static void abandon(struct dbexec *exec)
{
    struct dbconn *conn = exec->conn;
    bool sent = conn->phase != PHASE_PREPARE;

    (void)snprintf(exec->detail, sizeof exec->detail, "%s: no answer in time",
                   proc_get(exec->proc)->routine);
    conn->is_broken = true;
    exec->is_late = true;
    finish(exec, sent ? DB_UNKNOWN : DB_NOT_SENT);
}

void dbexec_run(struct dbexec *execs, size_t n, int64_t deadline_ms)
{
    struct pollfd fds[EXECS_MAX];
    struct dbexec *of[EXECS_MAX];

    CHECK(n <= EXECS_MAX);
    for (size_t i = 0; i < n; i++) {
        if (execs[i].conn != NULL) {
            begin(&execs[i]);
        }
    }
    for (;;) {
        nfds_t n_fds = 0;
        for (size_t i = 0; i < n; i++) {
            struct dbconn *conn = execs[i].conn;
            if (conn != NULL && conn->phase != PHASE_IDLE) {
                fds[n_fds] = (struct pollfd){.fd = mysql_get_socket(conn->mysql),
                                             .events = dbconn_poll_events(conn->wait)};
                of[n_fds++] = &execs[i];
            }
        }
        if (n_fds == 0) {
            return;
        }
        int left = dbconn_remaining_ms(deadline_ms);
        int ready = poll(fds, n_fds, left);
        for (nfds_t i = 0; i < n_fds; i++) {
            if (ready > 0 && fds[i].revents != 0) {
                phase_continue(of[i], dbconn_happened(fds[i].revents, of[i]->conn->wait));
                advance(of[i]);
            } else if (left == 0) {
                abandon(of[i]);
            }
        }
    }
}
