/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* One connection to a shard: opening it, learning which shard it is, closing it. */
#include "shard/dbconn.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "shard/base/clock.h"
#include "shard/base/hex.h"
#include "shard/base/rnd.h"
#include "shard/base/wait.h"

#include "shard/dbconn_impl.h"
#include "shard/dberror.h"
#include "shard/dbexec.h"

/* Arguments of a CALL are converted under the session's mode, before the routine's own:
 * only a strict one refuses a value that does not fit instead of cutting it. */
#define STRICT "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'"

/* Results of conn_open() are a few short values. */
#define HELLO_ARENA_BYTES 65536

const struct dbconn_target *dbconn_target(const struct dbconn *conn)
{
    return conn->target;
}

const char *dbconn_tag(const struct dbconn *conn)
{
    return conn->tag;
}

/* ---- Waiting ---- */

short dbconn_poll_events(int wait)
{
    return (short)((wait & MYSQL_WAIT_READ ? POLLIN : 0) |
                   (wait & MYSQL_WAIT_WRITE ? POLLOUT : 0) |
                   (wait & MYSQL_WAIT_EXCEPT ? POLLPRI : 0));
}

/* What happened, in the library's terms; errors wake readers and writers alike. */
int dbconn_happened(short revents, int wait)
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

/* ---- Connecting ---- */

static bool wants_tls(const struct dbconn_target *target)
{
    return target->tls_ca[0] != '\0' && target->socket[0] == '\0';
}

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
    if (!wants_tls(target)) {
        return true;
    }
    /* ENFORCE alone accepts any certificate: all three are needed. */
    return mysql_options(mysql, MYSQL_OPT_SSL_CA, target->tls_ca) == 0 &&
           mysql_options(mysql, MYSQL_OPT_SSL_ENFORCE, &yes) == 0 &&
           mysql_options(mysql, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &yes) == 0;
}

/* Run the connect until it is done, or until DEADLINE_MS. */
static bool connect_until(MYSQL *mysql, const struct dbconn_target *target,
                          int64_t deadline_ms, struct errmsg *err)
{
    const char *socket = target->socket[0] == '\0' ? NULL : target->socket;
    MYSQL *connected = NULL;
    int wait = mysql_real_connect_start(
        &connected, mysql, socket == NULL ? target->host : NULL, target->user,
        target->password, target->db_name, target->port, socket, 0);

    while (wait != 0) {
        struct wait_fd fd = {.fd = mysql_get_socket(mysql),
                             .events = dbconn_poll_events(wait)};
        if (!wait_fds(&fd, deadline_ms)) {
            wait_fds_end(&fd);
            return errmsg_set(err, "no connection in time");
        }
        if (fd.revents != 0) {
            wait = mysql_real_connect_cont(&connected, mysql,
                                           dbconn_happened(fd.revents, wait));
        }
    }
    if (connected == NULL) {
        return errmsg_set(err, "%u %s", mysql_errno(mysql), mysql_error(mysql));
    }
    if (wants_tls(target) && mysql_get_ssl_cipher(mysql) == NULL) {
        return errmsg_set(err, "the server does not speak TLS");
    }
    return true;
}

bool dbconn_greet(struct dbconn *conn, int64_t deadline_ms, struct dbconn_hello *hello,
                  struct errmsg *err)
{
    struct arena arena;
    const struct dbarg args[PROC_ARGS_MAX] = {
        {.kind = DBARG_TEXT, .text = conn->tag, .len = strlen(conn->tag)}};
    struct dbexec exec = {
        .conn = conn, .proc = PROC_CONN_OPEN, .args = args, .arena = &arena};
    struct {
        const char *server;
        uint32_t schema, serves, flush, sync_binlog, log_bin, doublewrite, refused;
        uint64_t beat;
    } row;
#define ROW(name, field_kind, member)                                                    \
    {                                                                                    \
        .column = (name), .kind = (field_kind),                                          \
        .offset = offsetof(__typeof__(row), member)                                      \
    }
    const struct dbfield fields[] = {ROW("server", DBFIELD_TEXT, server),
                                     ROW("schema_version", DBFIELD_U32, schema),
                                     ROW("schema_serves", DBFIELD_U32, serves),
                                     ROW("flush_log", DBFIELD_U32, flush),
                                     ROW("sync_binlog", DBFIELD_U32, sync_binlog),
                                     ROW("log_bin", DBFIELD_U32, log_bin),
                                     ROW("doublewrite", DBFIELD_U32, doublewrite),
                                     ROW("beat", DBFIELD_U64, beat),
                                     ROW("refused", DBFIELD_U32, refused)};
#undef ROW
    bool good = false;

    arena_init(&arena, HELLO_ARENA_BYTES);
    dbexec_run(&exec, 1, deadline_ms);
    hello->error = exec.error;
    if (exec.status != DB_OK) {
        (void)errmsg_set(err, "%s", exec.detail);
    } else if (exec.results == NULL ||
               !dbresult_read(exec.results, 0, fields, ARRAY_LEN(fields), &row)) {
        (void)errmsg_set(err, "conn_open answered what this version cannot read");
    } else {
        (void)snprintf(hello->server, sizeof hello->server, "%s", row.server);
        hello->schema = (struct proc_version){row.schema, row.serves};
        hello->is_durable = row.flush == 1 && row.doublewrite == 1 &&
                            (row.log_bin == 0 || row.sync_binlog == 1);
        hello->beat = row.beat;
        hello->is_refused = row.refused != 0;
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
                           struct dbconn_hello *hello, struct errmsg *err)
{
    unsigned char random[(DBCONN_TAG_SIZE - 1) / 2];
    struct dbconn *conn = calloc(1, sizeof *conn);

    if (conn == NULL) {
        (void)errmsg_set(err, "out of memory");
        hello->error = CR_OUT_OF_MEMORY;
        return NULL;
    }
    rnd_bytes(random, sizeof random);
    hex_encode(random, sizeof random, conn->tag);
    conn->target = target;
    conn->mysql = mysql_init(NULL);
    if (conn->mysql == NULL || !set_options(conn->mysql, target)) {
        (void)errmsg_set(err, "out of memory");
        hello->error = CR_OUT_OF_MEMORY;
    } else if (!connect_until(conn->mysql, target, deadline_ms, err)) {
        hello->error = mysql_errno(conn->mysql);
    } else if (dbconn_greet(conn, deadline_ms, hello, err)) {
        return conn;
    }
    dbconn_close(&conn);
    return NULL;
}

bool dbconn_is_crowded(const struct dbconn_hello *hello)
{
    switch (hello->error) {
    case CR_OUT_OF_MEMORY:
    case CR_SOCKET_CREATE_ERROR:
    case CR_IPSOCK_ERROR:
        return true;
    default:
        return dberror_class(hello->error) == DBERROR_CROWDED;
    }
}

bool dbconn_was_cut(const struct dbconn_hello *hello)
{
    return dberror_class(hello->error) == DBERROR_CUT;
}

void dbconn_close(struct dbconn **conn)
{
    struct dbconn *c = *conn;

    if (c == NULL) {
        return;
    }
    if (c->mysql != NULL) {
        /* Make whatever the library still sends fail at once instead of waiting. */
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
