/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Prepared CALLs on connections: a CALL is a sequence of phases, and every phase is one
 * operation of the library. */
#include "shard/dbexec.h"

#include <stdio.h>
#include <string.h>

#include "shard/base/clock.h"

#include "shard/dbconn_impl.h"
#include "shard/dberror.h"

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
    exec->took_us = clock_mono_us() - exec->begun_us;
    exec->conn->phase = PHASE_IDLE;
}

/* The status of an error before anything was sent, or in place of an answer: a routine
 * sends no result set before it has committed, and rolls back on any failure until
 * then. */
static enum db_status status_of(enum dberror_class class)
{
    switch (class) {
    case DBERROR_AGAIN:
        return DB_AGAIN;
    case DBERROR_SICK:
    case DBERROR_CROWDED:
        return DB_SICK;
    default:
        return DB_FAILED;
    }
}

/* Did an error come after the first result set? Then the write is committed, whatever the
 * error. */
static bool breaks_off(const struct dbexec *exec)
{
    return exec->conn->phase != PHASE_EXECUTE &&
           proc_get(exec->proc)->effect == PROC_WRITES;
}

/* The statement could not be prepared: prepare it again the next time. */
static void forget_statement(struct dbexec *exec)
{
    mysql_stmt_close(stmt_of(exec));
    exec->conn->stmt[exec->proc] = NULL;
}

/* The current operation reported an error. */
static void fail(struct dbexec *exec)
{
    struct dbconn *conn = exec->conn;
    MYSQL_STMT *stmt = stmt_of(exec);

    exec->error = mysql_stmt_errno(stmt);
    enum dberror_class class = dberror_class(exec->error);
    bool is_refusal = outcome_from_sqlstate(mysql_stmt_sqlstate(stmt), &exec->refusal);
    (void)snprintf(exec->detail, sizeof exec->detail, "%s: %u %s",
                   proc_get(exec->proc)->routine, exec->error, mysql_stmt_error(stmt));
    if (class == DBERROR_UNKNOWN || class == DBERROR_CUT) {
        exec->is_cut = class == DBERROR_CUT;
        conn->is_broken = true;
        finish(exec, conn->phase == PHASE_PREPARE ? DB_NOT_SENT : DB_UNKNOWN);
    } else if (conn->phase == PHASE_PREPARE) {
        forget_statement(exec);
        finish(exec, status_of(class));
    } else if (breaks_off(exec)) {
        exec->is_over = true;
        finish(exec, DB_UNKNOWN);
    } else {
        finish(exec, is_refusal ? DB_REFUSED : status_of(class));
    }
}

/* The phase's operation is complete without error: go to the next phase. */
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
    exec->is_over = false;
    exec->is_cut = false;
    exec->error = 0;
    exec->detail[0] = '\0';
    exec->begun_us = clock_mono_us();
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
        exec->error = CR_OUT_OF_MEMORY;
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

/* List what the CALLs under way wait for. NULL: none are under way. */
static struct wait_fd *list_waits(struct dbexec *execs, size_t n)
{
    struct wait_fd *list = NULL;

    for (size_t i = n; i-- > 0;) {
        struct dbexec *exec = &execs[i];
        if (exec->conn != NULL && exec->conn->phase != PHASE_IDLE) {
            exec->wait.fd = mysql_get_socket(exec->conn->mysql);
            exec->wait.events = dbconn_poll_events(exec->conn->wait);
            exec->wait.next = list;
            list = &exec->wait;
        }
    }
    return list;
}

/* Go on with EXEC if what it waits for has happened. */
static void look_at(struct dbexec *exec)
{
    struct dbconn *conn = exec->conn;
    short revents = exec->wait.revents;

    if (conn != NULL && conn->phase != PHASE_IDLE && revents != 0) {
        phase_continue(exec, dbconn_happened(revents, conn->wait));
        advance(exec);
    }
}

void dbexec_run(struct dbexec *execs, size_t n, int64_t deadline_ms)
{
    struct wait_fd *waits;
    bool is_late = false;

    for (size_t i = 0; i < n; i++) {
        execs[i].wait = (struct wait_fd){.fd = -1};
        if (execs[i].conn != NULL) {
            begin(&execs[i]);
        }
    }
    while (!is_late && (waits = list_waits(execs, n)) != NULL) {
        is_late = !wait_fds(waits, deadline_ms);
        for (size_t i = 0; i < n; i++) {
            look_at(&execs[i]);
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (execs[i].conn != NULL && execs[i].conn->phase != PHASE_IDLE) {
            wait_fds_end(&execs[i].wait);
            abandon(&execs[i]);
        }
    }
}
