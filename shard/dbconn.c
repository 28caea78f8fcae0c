/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* One connection to a shard, and prepared CALLs on it; the only user of <mysql.h>. */
#include "shard/dbconn.h"

#include <mysql.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "shard/base/clock.h"
#include "shard/base/hex.h"
#include "shard/base/rnd.h"

/* Most connections that dbconn_run() can wait for at once: one per server. */
#define EXECS_MAX 256

/* Most columns of one result set. */
#define COLUMNS_MAX 32

/* Arguments of a CALL are converted under the session's mode, before the routine's own:
 * only a strict one refuses a value that does not fit instead of cutting it. */
#define STRICT "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'"

/* Results of conn_open() are a few short values. */
#define HELLO_ARENA_BYTES 65536

enum phase {
    PHASE_IDLE,    /* nothing under way */
    PHASE_PREPARE, /* the statement is being prepared */
    PHASE_EXECUTE, /* the CALL is on its way: from here on its outcome can be unknown */
    PHASE_STORE,   /* a result set is being read */
    PHASE_NEXT,    /* asking for the following result set */
};

struct dbconn {
    MYSQL *mysql;                  /* owned */
    MYSQL_STMT *stmt[PROC__COUNT]; /* owned; prepared at first use */
    char tag[DBCONN_TAG_SIZE];
    enum phase phase;
    int wait;       /* MYSQL_WAIT_* flags of the operation under way, 0 = it is done */
    int ret;        /* what the operation returned */
    bool is_broken; /* a protocol error or a lost connection: only good for closing */
};

static void explain(char *why, size_t size, const char *fmt, ...) PRINTF_LIKE(3, 4);

static void explain(char *why, size_t size, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vsnprintf(why, size, fmt, args);
    va_end(args);
}

const char *dbconn_tag(const struct dbconn *conn)
{
    return conn->tag;
}

/* --- Waiting
 * ---------------------------------------------------------------------------- */

static short poll_events(int wait)
{
    return (short)((wait & MYSQL_WAIT_READ ? POLLIN : 0) |
                   (wait & MYSQL_WAIT_WRITE ? POLLOUT : 0) |
                   (wait & MYSQL_WAIT_EXCEPT ? POLLPRI : 0));
}

/* What happened, in the library's terms; errors wake readers and writers alike. */
static int happened(short revents, int wait)
{
    int flags = 0;

    if (revents & (POLLIN | POLLERR | POLLHUP | POLLNVAL)) {
        flags |= MYSQL_WAIT_READ;
    }
    if (revents & (POLLOUT | POLLERR | POLLHUP | POLLNVAL)) {
        flags |= MYSQL_WAIT_WRITE;
    }
    if (revents & POLLPRI) {
        flags |= MYSQL_WAIT_EXCEPT;
    }
    return flags & wait;
}

static int remaining_ms(int64_t deadline_ms)
{
    int64_t left = deadline_ms - clock_mono_ms();

    return left <= 0 ? 0 : left > 60000 ? 60000 : (int)left;
}

/* --- Connecting
 * ------------------------------------------------------------------------- */

static bool set_options(MYSQL *mysql, const struct dbconn_target *target)
{
    const unsigned int no = 0;
    const my_bool yes = 1;

    if (mysql_options(mysql, MYSQL_OPT_NONBLOCK, NULL) != 0 ||
        mysql_options(mysql, MYSQL_OPT_LOCAL_INFILE, &no) != 0 ||
        mysql_options(mysql, MYSQL_INIT_COMMAND, STRICT) != 0 ||
        mysql_options(mysql, MYSQL_SET_CHARSET_NAME, "utf8mb4") != 0) {
        return false;
    }
    if (target->tls_ca[0] == '\0') {
        return true;
    }
    /* ENFORCE alone accepts any certificate: all three are needed. */
    return mysql_options(mysql, MYSQL_OPT_SSL_CA, target->tls_ca) == 0 &&
           mysql_options(mysql, MYSQL_OPT_SSL_ENFORCE, &yes) == 0 &&
           mysql_options(mysql, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &yes) == 0;
}

/* Run the connect until it is done or DEADLINE_MS. */
static bool connect_until(MYSQL *mysql, const struct dbconn_target *target,
                          int64_t deadline_ms, char *why, size_t size)
{
    const char *socket = target->socket[0] == '\0' ? NULL : target->socket;
    MYSQL *connected = NULL;
    int wait = mysql_real_connect_start(
        &connected, mysql, socket == NULL ? target->host : NULL, target->user,
        target->password, target->db_name, target->port, socket, 0);

    while (wait != 0) {
        struct pollfd fd = {.fd = mysql_get_socket(mysql), .events = poll_events(wait)};
        int left = remaining_ms(deadline_ms);
        int n = left == 0 ? 0 : poll(&fd, 1, left);
        if (n == 0 && remaining_ms(deadline_ms) == 0) {
            explain(why, size, "no connection in time");
            return false;
        }
        if (n > 0) {
            wait = mysql_real_connect_cont(&connected, mysql, happened(fd.revents, wait));
        }
    }
    if (connected == NULL) {
        explain(why, size, "%u %s", mysql_errno(mysql), mysql_error(mysql));
        return false;
    }
    if (target->tls_ca[0] != '\0' && mysql_get_ssl_cipher(mysql) == NULL) {
        explain(why, size, "the server does not speak TLS");
        return false;
    }
    return true;
}

/* CALL conn_open(): names the session, sets it up, and learns whom we talk to. */
static bool greet(struct dbconn *conn, int64_t deadline_ms, struct dbconn_hello *hello,
                  char *why, size_t size)
{
    struct arena arena;
    const struct dbarg args[PROC_ARGS_MAX] = {
        {.kind = DBARG_TEXT, .text = conn->tag, .len = strlen(conn->tag)}};
    struct dbexec exec = {
        .conn = conn, .proc = PROC_CONN_OPEN, .args = args, .arena = &arena};
    struct {
        const char *server;
        uint32_t schema, flush, sync_binlog, log_bin, doublewrite;
    } row;
#define ROW(name, field_kind, member)                                                    \
    {                                                                                    \
        .column = (name), .kind = (field_kind),                                          \
        .offset = offsetof(__typeof__(row), member)                                      \
    }
    const struct dbfield fields[] = {ROW("server", DBFIELD_TEXT, server),
                                     ROW("schema_version", DBFIELD_U32, schema),
                                     ROW("flush_log", DBFIELD_U32, flush),
                                     ROW("sync_binlog", DBFIELD_U32, sync_binlog),
                                     ROW("log_bin", DBFIELD_U32, log_bin),
                                     ROW("doublewrite", DBFIELD_U32, doublewrite)};
#undef ROW
    bool good = false;

    arena_init(&arena, HELLO_ARENA_BYTES);
    dbconn_run(&exec, 1, deadline_ms);
    if (exec.status != DB_OK) {
        explain(why, size, "conn_open: %s", exec.detail);
    } else if (exec.results == NULL ||
               !dbresult_read(exec.results, 0, fields, ARRAY_LEN(fields), &row)) {
        explain(why, size, "conn_open answered what this version cannot read");
    } else {
        explain(hello->server, sizeof hello->server, "%s", row.server);
        hello->schema_version = row.schema;
        hello->is_durable = row.flush == 1 && row.doublewrite == 1 &&
                            (row.log_bin == 0 || row.sync_binlog == 1);
        good = true;
    }
    arena_release(&arena);
    return good;
}

bool dbconn_library_init(void)
{
    return mysql_library_init(0, NULL, NULL) == 0;
}

struct dbconn *dbconn_open(const struct dbconn_target *target, int64_t deadline_ms,
                           struct dbconn_hello *hello, char *why, size_t size)
{
    unsigned char random[(DBCONN_TAG_SIZE - 1) / 2];
    struct dbconn *conn = calloc(1, sizeof *conn);

    if (conn == NULL) {
        explain(why, size, "out of memory");
        return NULL;
    }
    rnd_bytes(random, sizeof random);
    hex_encode(random, sizeof random, conn->tag);
    conn->mysql = mysql_init(NULL);
    if (conn->mysql == NULL || !set_options(conn->mysql, target)) {
        explain(why, size, "out of memory");
    } else if (connect_until(conn->mysql, target, deadline_ms, why, size) &&
               greet(conn, deadline_ms, hello, why, size)) {
        return conn;
    }
    hello->error = conn->mysql == NULL ? 0 : mysql_errno(conn->mysql);
    dbconn_close(&conn);
    return NULL;
}

bool dbconn_is_crowded(const struct dbconn_hello *hello)
{
    return hello->error == 1040 || hello->error == 1203 || hello->error == 1226;
}

void dbconn_close(struct dbconn **conn)
{
    struct dbconn *c = *conn;

    if (c == NULL) {
        return;
    }
    if (c->mysql != NULL) {
        /* Whatever the library still wants to send fails at once instead of waiting. */
        my_socket fd = mysql_get_socket(c->mysql);
        if (fd >= 0) {
            shutdown(fd, SHUT_RDWR);
        }
        mysql_close(c->mysql);
    }
    for (size_t i = 0; i < PROC__COUNT; i++) {
        if (c->stmt[i] != NULL) {
            mysql_stmt_close(c->stmt[i]);
        }
    }
    free(c);
    *conn = NULL;
}

bool dbconn_is_alive(const struct dbconn *conn)
{
    struct pollfd fd = {.fd = mysql_get_socket(conn->mysql), .events = POLLIN};

    return poll(&fd, 1, 0) == 0;
}

bool dbconn_is_clean(const struct dbconn *conn)
{
    unsigned int status = 0;

    if (conn->is_broken || conn->phase != PHASE_IDLE ||
        mariadb_get_infov(conn->mysql, MARIADB_CONNECTION_SERVER_STATUS, &status) != 0) {
        return false;
    }
    return (status & (SERVER_STATUS_IN_TRANS | SERVER_MORE_RESULTS_EXIST)) == 0;
}

/* --- One CALL as a chain of phases
 * -------------------------------------------------------- */

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

    explain(exec->detail, sizeof exec->detail, "%s: %u %s", proc_get(exec->proc)->routine,
            code, mysql_stmt_error(stmt));
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

/* Whole numbers; the servers turn mixed signedness, as in a UNION, into DECIMAL(n, 0). */
static bool is_integer(const MYSQL_FIELD *field)
{
    switch (field->type) {
    case MYSQL_TYPE_TINY:
    case MYSQL_TYPE_SHORT:
    case MYSQL_TYPE_INT24:
    case MYSQL_TYPE_LONG:
    case MYSQL_TYPE_LONGLONG:
    case MYSQL_TYPE_YEAR:
        return true;
    case MYSQL_TYPE_DECIMAL:
    case MYSQL_TYPE_NEWDECIMAL:
        return field->decimals == 0;
    default:
        return false;
    }
}

/* One result set being copied into the arena. */
struct reading {
    struct dbresult *result;
    MYSQL_BIND bind[COLUMNS_MAX];
    unsigned long length[COLUMNS_MAX];
    my_bool is_null[COLUMNS_MAX];
    uint64_t number[COLUMNS_MAX];
};

/* Names of the columns and one buffer for each, wide enough for every row of this result.
 */
static bool bind_columns(struct reading *r, MYSQL_STMT *stmt, struct arena *arena)
{
    unsigned n = mysql_stmt_field_count(stmt);
    MYSQL_RES *meta = mysql_stmt_result_metadata(stmt);
    const char **names = arena_calloc(arena, n, sizeof *names);
    bool good = meta != NULL && names != NULL && n <= COLUMNS_MAX;

    for (unsigned i = 0; good && i < n; i++) {
        const MYSQL_FIELD *field = mysql_fetch_field_direct(meta, i);
        MYSQL_BIND *bind = &r->bind[i];
        names[i] = arena_strndup(arena, field->name, strlen(field->name));
        bind->length = &r->length[i];
        bind->is_null = &r->is_null[i];
        if (is_integer(field)) {
            bind->buffer_type = MYSQL_TYPE_LONGLONG;
            bind->is_unsigned = (field->flags & UNSIGNED_FLAG) != 0;
            bind->buffer = &r->number[i];
            bind->buffer_length = sizeof r->number[i];
        } else {
            bind->buffer_type = MYSQL_TYPE_STRING;
            bind->buffer_length = field->max_length + 1;
            bind->buffer = arena_alloc(arena, bind->buffer_length);
        }
        good = names[i] != NULL && bind->buffer != NULL;
    }
    if (meta != NULL) {
        mysql_free_result(meta);
    }
    r->result->columns = names;
    r->result->n_columns = n;
    return good && mysql_stmt_bind_result(stmt, r->bind) == 0;
}

static bool copy_row(const struct reading *r, struct dbvalue *values, struct arena *arena)
{
    for (unsigned i = 0; i < r->result->n_columns; i++) {
        struct dbvalue *value = &values[i];
        value->is_null = r->is_null[i] != 0;
        if (r->bind[i].buffer_type == MYSQL_TYPE_LONGLONG) {
            value->number = value->is_null ? 0 : r->number[i];
        } else if (!value->is_null) {
            value->len = r->length[i];
            value->text = arena_strndup(arena, r->bind[i].buffer, value->len);
            if (value->text == NULL) {
                return false;
            }
        }
    }
    return true;
}

/* Copy the stored result set into the arena. False: it does not fit. */
static bool read_result(MYSQL_STMT *stmt, struct arena *arena, struct dbresult *result)
{
    struct reading r = {.result = result};
    size_t n_rows = mysql_stmt_num_rows(stmt);

    if (!bind_columns(&r, stmt, arena)) {
        return false;
    }
    result->n_rows = n_rows;
    result->values =
        arena_calloc(arena, n_rows * result->n_columns, sizeof *result->values);
    if (result->values == NULL) {
        return false;
    }
    for (size_t row = 0; row < n_rows; row++) {
        if (mysql_stmt_fetch(stmt) != 0 ||
            !copy_row(&r, &result->values[row * result->n_columns], arena)) {
            return false;
        }
    }
    return true;
}

/* A result set is in the library's memory: append it to the results. */
static bool take_result(struct dbexec *exec)
{
    struct dbresult *result = arena_calloc(exec->arena, 1, sizeof *result);
    struct dbresult **end = &exec->results;

    if (result == NULL || !read_result(stmt_of(exec), exec->arena, result)) {
        return false;
    }
    while (*end != NULL) {
        end = &(*end)->next;
    }
    *end = result;
    return true;
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
        if (exec->status == DB_OK && !take_result(exec)) {
            /* Go on reading: the connection must come back clean. */
            exec->status = DB_NOMEM;
            explain(exec->detail, sizeof exec->detail, "the answer of %s does not fit",
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
            explain(exec->detail, sizeof exec->detail, "%s has other parameters here",
                    proc_get(exec->proc)->routine);
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
        explain(exec->detail, sizeof exec->detail, "out of memory");
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

    explain(exec->detail, sizeof exec->detail, "%s: no answer in time",
            proc_get(exec->proc)->routine);
    conn->is_broken = true;
    exec->is_late = true;
    finish(exec, sent ? DB_UNKNOWN : DB_NOT_SENT);
}

void dbconn_run(struct dbexec *execs, size_t n, int64_t deadline_ms)
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
                                             .events = poll_events(conn->wait)};
                of[n_fds++] = &execs[i];
            }
        }
        if (n_fds == 0) {
            return;
        }
        int left = remaining_ms(deadline_ms);
        int ready = poll(fds, n_fds, left);
        for (nfds_t i = 0; i < n_fds; i++) {
            if (ready > 0 && fds[i].revents != 0) {
                phase_continue(of[i], happened(fds[i].revents, of[i]->conn->wait));
                advance(of[i]);
            } else if (left == 0) {
                abandon(of[i]);
            }
        }
    }
}
