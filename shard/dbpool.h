/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A bounded pool of connections to one shard, and whether the shard may be used at all.
 *
 * Ownership: the pool owns idle connections; between dbpool_get() and dbpool_put() a
 * connection is the caller's.
 *
 *   state of a connection   where it is                who moves it on
 *   opening                 counted in n_open          the thread in dbpool_get()
 *   idle                    stack of the pool          dbpool_get(), dbpool_reap()
 *   busy                    with a caller              dbpool_put()
 *   (closed)                nowhere                    dbpool_put() when it is not clean
 *
 * A pool is DOWN at first. It is UP from dbpool_set_up() on, until dbpool_set_down(), a
 * failed connect, or several calls in a row without an answer. While it is DOWN every
 * dbpool_get() fails at once: only the thread that minds the shard (router_minder.c)
 * tries it, so no request ever waits to find out that a dead shard is still dead. */
#ifndef DOUSHARD_DBPOOL_H
#define DOUSHARD_DBPOOL_H

#include <stdbool.h>
#include <stdint.h>

#include "shard/base/check.h"
#include "shard/base/errmsg.h"

#include "shard/dbconn.h"
#include "shard/outcome.h"

struct dbpool;

/* Checks what a shard reports about itself. False: it must not be used, ERR says why. */
typedef bool dbpool_admit_fn(void *context, const struct dbconn_hello *hello,
                             struct errmsg *err);

/* Copied by dbpool_new(). */
struct dbpool_options {
    const struct dbconn_target *target; /* (ref) outlives the pool, like later ones */
    unsigned size;                      /* most connections */
    unsigned waiters_max;               /* most threads waiting for one */
    int connect_timeout_ms;
    int idle_ms; /* an idle connection is closed after this */
    dbpool_admit_fn *admit;
    void *admit_context;
    void (*went_down)(void *context); /* called without any lock held */
    void *went_down_context;
};

struct dbpool_state {
    bool is_up;
    struct errmsg reason; /* why not; "" when up */
    unsigned open, busy, waiters;
    uint64_t dirty_total; /* came back with unread results or an open transaction */
};

/* NULL when out of memory. */
struct dbpool *dbpool_new(const struct dbpool_options *options) MUST_CHECK;

/* No connection may be lent and no thread may wait. *POOL becomes NULL; NULL is
 * allowed. */
void dbpool_free(struct dbpool **pool);

/* Borrow a connection, opening one if the pool is not full.
 *
 * Waits at most until DEADLINE_MS (monotonic); waiters are served in order. Thread-safe.
 * A thread that needs connections of several pools must take them in the order of the
 * shards' indexes, and must not hold one of this pool already.
 *
 * OK sets *CONN. UNAVAILABLE: the shard is down. BUSY: too many wait, or no connection
 * came free in time. Both set ERR and leave *CONN alone. */
enum outcome dbpool_get(struct dbpool *pool, int64_t deadline_ms, struct dbconn **conn,
                        struct errmsg *err) MUST_CHECK;

/* As dbpool_get(), but BUSY at once instead of waiting in line: for a thread that holds a
 * connection of another pool, so that a slow shard does not keep others' connections. */
enum outcome dbpool_try(struct dbpool *pool, int64_t deadline_ms, struct dbconn **conn,
                        struct errmsg *err) MUST_CHECK;

/* What the last call on a connection showed about its shard. */
enum dbpool_verdict {
    DBPOOL_ANSWERED, /* it answers */
    DBPOOL_SILENT,   /* it had enough time and did not: several in a row, over all
                      * connections, bring the pool DOWN */
    DBPOOL_UNPROVEN, /* it had too little time, or lost only this connection */
};

/* Give a connection back. It goes to the next waiter or becomes idle, or is closed when
 * it is not clean. *CONN becomes NULL. */
void dbpool_put(struct dbpool *pool, struct dbconn **conn, enum dbpool_verdict verdict);

void dbpool_set_up(struct dbpool *pool);
void dbpool_set_down(struct dbpool *pool, const char *reason);

/* The shard is at TARGET (ref) from now on: connections to its former address are closed
 * when they are given back. */
void dbpool_set_target(struct dbpool *pool, const struct dbconn_target *target);

/* Close connections that have been idle for too long. */
void dbpool_reap(struct dbpool *pool);

void dbpool_state(struct dbpool *pool, struct dbpool_state *state);

#endif
