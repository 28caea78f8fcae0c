/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* One connection to a shard: opening it, knowing whom it leads to, closing it. What runs
 * on it is dbexec.h. A connection is used by one thread at a time. */
#ifndef DOUSHARD_DBCONN_H
#define DOUSHARD_DBCONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/check.h"

#include "shard/proc.h"

struct dbconn;

/* Where and as whom to connect. Borrowed by dbconn_open() for the time of the call; its
 * address is remembered, see dbconn_target(). */
struct dbconn_target {
    const char *host; /* numeric address, so that no name look-up can block */
    unsigned port;
    const char *socket; /* path; "" = TCP */
    const char *user;
    const char *password;
    const char *db_name;
    /* "" = no TLS; else the server must prove by this that it is HOST. Nothing is asked
     * of a socket, which is a file of this machine. */
    const char *tls_ca;
};

/* What the shard says of itself when a connection is opened. */
struct dbconn_hello {
    char server[32];
    struct proc_version schema;
    bool is_durable; /* an acknowledged write survives a power cut */
    uint64_t beat;   /* how far the shard has counted (shard_tick) */
    bool is_refused; /* it knows that its data is old, and serves nobody */
    unsigned error;  /* when no connection was made: the error number, 0 = none */
};

/* A name under which the session can be killed from another connection. */
#define DBCONN_TAG_SIZE 33

/* Prepare the client library; once, before the first thread. False: it cannot be used. */
bool dbconn_library_init(void) MUST_CHECK;

/* Connect, and CALL conn_open(). NULL on failure; WHY (SIZE bytes) then says what
 * happened. */
struct dbconn *dbconn_open(const struct dbconn_target *target, int64_t deadline_ms,
                           struct dbconn_hello *hello, char *why, size_t size) MUST_CHECK;

/* CALL conn_open() again on an idle connection: what the shard says of itself now. False,
 * with WHY (SIZE bytes): no answer. */
bool dbconn_greet(struct dbconn *conn, int64_t deadline_ms, struct dbconn_hello *hello,
                  char *why, size_t size) MUST_CHECK;

/* After a failure: there is no room for one more connection, which says nothing against
 * the server. It takes no more of them (ER_CON_COUNT_ERROR and the limits per user), or
 * this process had no memory or no descriptor left for it. */
bool dbconn_is_crowded(const struct dbconn_hello *hello);

/* After a failure: the connection was ended while it was being opened, by whom is not
 * known; a server that has died refuses the next one. */
bool dbconn_was_cut(const struct dbconn_hello *hello);

/* Close at once, whatever is under way: never waits for the server. *CONN becomes NULL.
 */
void dbconn_close(struct dbconn **conn);

/* False when an idle connection has something to say: the server has closed it. */
bool dbconn_is_alive(const struct dbconn *conn);

/* True when the connection may serve another request: nothing is under way, every result
 * was read and no transaction is open. */
bool dbconn_is_clean(const struct dbconn *conn);

/* The tag of this session, DBCONN_TAG_SIZE bytes with the NUL. */
const char *dbconn_tag(const struct dbconn *conn);

/* What dbconn_open() was given. */
const struct dbconn_target *dbconn_target(const struct dbconn *conn);

#endif
