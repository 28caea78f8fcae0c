/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* One connection to a shard: opening it, learning which shard it is, closing it. CALLs on
 * it are in dbexec.h. A connection is used by one thread at a time. */
#ifndef DOUSHARD_DBCONN_H
#define DOUSHARD_DBCONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/check.h"
#include "shard/base/errmsg.h"

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
    /* "" = no TLS; else the authority that must have signed the certificate for HOST. Not
     * used for a Unix socket. */
    const char *tls_ca;
};

/* What the shard reports about itself when a connection is opened. */
struct dbconn_hello {
    char server[32];
    struct proc_version schema;
    bool is_durable; /* an acknowledged write survives a power cut */
    uint64_t beat;   /* the shard's counter (shard_tick) */
    bool is_refused; /* it knows that its data is old, and serves nobody */
    unsigned error;  /* when no connection was made: the error number, 0 = none */
};

/* A name under which the session can be killed from another connection. */
#define DBCONN_TAG_SIZE 33

/* Prepare the client library; once, before the first thread. False: it cannot be used. */
bool dbconn_library_init(void) MUST_CHECK;

/* Connect, and CALL conn_open(). NULL on failure; ERR and HELLO->error then say what
 * happened. */
struct dbconn *dbconn_open(const struct dbconn_target *target, int64_t deadline_ms,
                           struct dbconn_hello *hello, struct errmsg *err) MUST_CHECK;

/* CALL conn_open() again on an idle connection, for the shard's present report. False: no
 * answer, see ERR and HELLO->error. */
bool dbconn_greet(struct dbconn *conn, int64_t deadline_ms, struct dbconn_hello *hello,
                  struct errmsg *err) MUST_CHECK;

/* After a failure: was there only no room for one more connection? The server takes no
 * more of them (ER_CON_COUNT_ERROR and the limits per user), or this process has no
 * memory or descriptor for it. */
bool dbconn_is_crowded(const struct dbconn_hello *hello);

/* After a failure: was the connection ended while it was being opened? It is not known by
 * whom; a server that has died refuses the next one. */
bool dbconn_was_cut(const struct dbconn_hello *hello);

/* Close at once, whatever is under way, without waiting for the server. *CONN becomes
 * NULL. */
void dbconn_close(struct dbconn **conn);

/* False when an idle connection has input: the server has closed it. */
bool dbconn_is_alive(const struct dbconn *conn);

/* True when the connection may serve another request: nothing is under way, every result
 * was read and no transaction is open. */
bool dbconn_is_clean(const struct dbconn *conn);

/* The tag of this session, DBCONN_TAG_SIZE bytes with the NUL. */
const char *dbconn_tag(const struct dbconn *conn);

/* The target given to dbconn_open(). */
const struct dbconn_target *dbconn_target(const struct dbconn *conn);

#endif
