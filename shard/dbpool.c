/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A bounded pool of connections to one shard, and whether the shard may be used. */
#include "shard/dbpool.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "shard/base/clock.h"
#include "shard/base/log.h"
#include "shard/base/wait.h"

/* How many calls in a row without an answer bring the pool down: more than the one or two
 * that a single slow transaction can cause, few enough that a frozen shard is noticed at
 * once. */
#define FAILURES_MAX 4

/* How often a connection may be ended while it is being opened. */
#define CONNECTS_MAX 5

enum grant { GRANT_NONE, GRANT_CONN, GRANT_ROOM, GRANT_REFUSED };

/* A thread in dbpool_get(), on its own stack. */
struct waiter {
    struct waiter *next;
    struct parker parker;
    enum grant grant;
    struct dbconn *conn; /* of GRANT_CONN */
};

struct idle {
    struct dbconn *conn; /* owned */
    int64_t since_ms;
};

struct dbpool {
    struct dbpool_options options; /* never changes */
    struct {
        pthread_mutex_t mutex;
        const struct dbconn_target *target;
        bool is_up;
        struct errmsg reason; /* why it is down */
        unsigned n_open;      /* opening, idle and busy */
        unsigned n_idle;
        unsigned n_waiters;
        unsigned failures; /* calls in a row without an answer */
        struct waiter *first, *last;
        uint64_t dirty_total;
        struct idle *idle; /* owned; a stack: the warmest connection is used first */
    } shared;
};

struct dbpool *dbpool_new(const struct dbpool_options *options)
{
    struct dbpool *pool = calloc(1, sizeof *pool);

    if (pool == NULL) {
        return NULL;
    }
    pool->options = *options;
    pool->shared.target = options->target;
    pool->shared.idle = calloc(options->size, sizeof *pool->shared.idle);
    if (pool->shared.idle == NULL) {
        free(pool);
        return NULL;
    }
    pthread_mutex_init(&pool->shared.mutex, NULL);
    (void)errmsg_set(&pool->shared.reason, "not reached yet");
    return pool;
}

void dbpool_free(struct dbpool **pool)
{
    if (*pool == NULL) {
        return;
    }
    dbpool_set_down(*pool, "shutting down");
    CHECK((*pool)->shared.n_open == 0 && (*pool)->shared.first == NULL);
    pthread_mutex_destroy(&(*pool)->shared.mutex);
    free((*pool)->shared.idle);
    free(*pool);
    *pool = NULL;
}

/* Hand GRANT to the longest waiting thread; false when nobody waits. */
static bool grant_locked(struct dbpool *pool, enum grant grant, struct dbconn *conn)
{
    struct waiter *waiter = pool->shared.first;

    if (waiter == NULL) {
        return false;
    }
    pool->shared.first = waiter->next;
    if (pool->shared.first == NULL) {
        pool->shared.last = NULL;
    }
    pool->shared.n_waiters--;
    waiter->grant = grant;
    waiter->conn = conn;
    parker_post(&waiter->parker);
    return true;
}

/* One connection less: its place goes to the next waiter. */
static void leave_room_locked(struct dbpool *pool)
{
    if (!grant_locked(pool, GRANT_ROOM, NULL)) {
        pool->shared.n_open--;
    }
}

/* Take the coldest idle connection, from the bottom of the stack, if it has been idle
 * since before LIMIT_MS. NULL: there is none. */
static struct dbconn *take_coldest(struct dbpool *pool, int64_t limit_ms)
{
    struct dbconn *conn = NULL;

    pthread_mutex_lock(&pool->shared.mutex);
    if (pool->shared.n_idle > 0 && pool->shared.idle[0].since_ms < limit_ms) {
        conn = pool->shared.idle[0].conn;
        pool->shared.n_idle--;
        pool->shared.n_open--;
        memmove(pool->shared.idle, pool->shared.idle + 1,
                pool->shared.n_idle * sizeof pool->shared.idle[0]);
    }
    pthread_mutex_unlock(&pool->shared.mutex);
    return conn;
}

/* Close the N coldest idle connections; whoever needs one meanwhile may get another of
 * them, as if a moment ago. */
static void close_idle(struct dbpool *pool, unsigned n)
{
    struct dbconn *conn;

    while (n-- > 0 && (conn = take_coldest(pool, INT64_MAX)) != NULL) {
        dbconn_close(&conn);
    }
}

void dbpool_set_down(struct dbpool *pool, const char *reason)
{
    pthread_mutex_lock(&pool->shared.mutex);
    bool was_up = pool->shared.is_up;
    unsigned n = pool->shared.n_idle;
    (void)errmsg_set(&pool->shared.reason, "%s", reason);
    pool->shared.is_up = false;
    while (grant_locked(pool, GRANT_REFUSED, NULL)) {
    }
    pthread_mutex_unlock(&pool->shared.mutex);
    close_idle(pool, n);
    if (was_up && pool->options.went_down != NULL) {
        pool->options.went_down(pool->options.went_down_context);
    }
}

void dbpool_set_target(struct dbpool *pool, const struct dbconn_target *target)
{
    pthread_mutex_lock(&pool->shared.mutex);
    pool->shared.target = target;
    unsigned n = pool->shared.n_idle;
    pthread_mutex_unlock(&pool->shared.mutex);
    close_idle(pool, n);
}

void dbpool_set_up(struct dbpool *pool)
{
    pthread_mutex_lock(&pool->shared.mutex);
    pool->shared.is_up = true;
    pool->shared.failures = 0;
    pool->shared.reason.text[0] = '\0';
    pthread_mutex_unlock(&pool->shared.mutex);
}

void dbpool_reap(struct dbpool *pool)
{
    int64_t limit_ms = clock_mono_ms() - pool->options.idle_ms;
    struct dbconn *conn;

    while ((conn = take_coldest(pool, limit_ms)) != NULL) {
        dbconn_close(&conn);
    }
}

/* Connect; try again if the connection was ended while it was opened: a server that has
 * died refuses the next one. */
static struct dbconn *connect_anew(struct dbpool *pool, int64_t deadline_ms,
                                   struct dbconn_hello *hello, struct errmsg *err)
{
    struct dbconn *opened = NULL;

    for (unsigned i = 0; i < CONNECTS_MAX; i++) {
        pthread_mutex_lock(&pool->shared.mutex);
        const struct dbconn_target *target = pool->shared.target;
        pthread_mutex_unlock(&pool->shared.mutex);
        *hello = (struct dbconn_hello){.error = 0};
        opened = dbconn_open(target, deadline_ms, hello, err);
        if (opened != NULL || !dbconn_was_cut(hello)) {
            break;
        }
    }
    return opened;
}

/* The caller has counted a connection in n_open: open it. */
static enum outcome open_connection(struct dbpool *pool, int64_t deadline_ms,
                                    struct dbconn **conn, struct errmsg *err)
{
    int64_t limit_ms = clock_mono_ms() + pool->options.connect_timeout_ms;
    struct dbconn_hello hello = {.error = 0};
    struct dbconn *opened =
        connect_anew(pool, clock_earlier(limit_ms, deadline_ms), &hello, err);

    if (opened != NULL &&
        !pool->options.admit(pool->options.admit_context, &hello, err)) {
        dbconn_close(&opened);
    }
    if (opened != NULL) {
        *conn = opened;
        return OUTCOME_OK;
    }
    bool crowded = dbconn_is_crowded(&hello);
    pthread_mutex_lock(&pool->shared.mutex);
    leave_room_locked(pool);
    pool->shared.failures += !crowded;
    bool too_many = pool->shared.is_up && pool->shared.failures >= FAILURES_MAX;
    pthread_mutex_unlock(&pool->shared.mutex);
    if (crowded) {
        return OUTCOME_BUSY; /* the open connections go on working */
    }
    /* One request that had hardly any time left says nothing about the shard. */
    if (too_many || limit_ms <= deadline_ms) {
        dbpool_set_down(pool, err->text);
    }
    return OUTCOME_UNAVAILABLE;
}

/* Leave the queue, since the deadline has passed. False: something was granted. */
static bool leave_line_locked(struct dbpool *pool, const struct waiter *waiter)
{
    struct waiter *before = NULL;

    if (waiter->grant != GRANT_NONE) {
        return false;
    }
    for (struct waiter *w = pool->shared.first; w != waiter; w = w->next) {
        before = w;
    }
    *(before == NULL ? &pool->shared.first : &before->next) = waiter->next;
    if (pool->shared.last == waiter) {
        pool->shared.last = before;
    }
    pool->shared.n_waiters--;
    return true;
}

/* Wait in the queue, with the lock released. */
static enum grant wait_locked(struct dbpool *pool, int64_t deadline_ms,
                              struct dbconn **conn)
{
    struct waiter self = {.grant = GRANT_NONE};

    parker_init(&self.parker);
    if (pool->shared.last != NULL) {
        pool->shared.last->next = &self;
    } else {
        pool->shared.first = &self;
    }
    pool->shared.last = &self;
    pool->shared.n_waiters++;
    pthread_mutex_unlock(&pool->shared.mutex);
    bool is_told = parker_wait(&self.parker, deadline_ms);
    pthread_mutex_lock(&pool->shared.mutex);
    if (!is_told && !leave_line_locked(pool, &self)) {
        pthread_mutex_unlock(&pool->shared.mutex);
        CHECK(parker_wait(&self.parker, WAIT_FOR_EVER));
        pthread_mutex_lock(&pool->shared.mutex);
    }
    parker_release(&self.parker);
    *conn = self.conn;
    return self.grant;
}

/* Get a connection, a place to open one, or a refusal. Called and left with the lock
 * held. */
static enum grant acquire_locked(struct dbpool *pool, int64_t deadline_ms, bool may_wait,
                                 struct dbconn **conn)
{
    if (!pool->shared.is_up) {
        return GRANT_REFUSED;
    }
    if (pool->shared.n_idle > 0) {
        *conn = pool->shared.idle[--pool->shared.n_idle].conn;
        return GRANT_CONN;
    }
    if (pool->shared.n_open < pool->options.size) {
        pool->shared.n_open++;
        return GRANT_ROOM;
    }
    if (!may_wait || pool->shared.n_waiters >= pool->options.waiters_max) {
        return GRANT_NONE;
    }
    return wait_locked(pool, deadline_ms, conn);
}

static enum outcome borrow(struct dbpool *pool, int64_t deadline_ms, bool may_wait,
                           struct dbconn **conn, struct errmsg *err)
{
    for (;;) {
        struct dbconn *got = NULL;
        pthread_mutex_lock(&pool->shared.mutex);
        enum grant grant = acquire_locked(pool, deadline_ms, may_wait, &got);
        if (grant == GRANT_REFUSED) {
            *err = pool->shared.reason;
        }
        pthread_mutex_unlock(&pool->shared.mutex);

        switch (grant) {
        case GRANT_REFUSED:
            return OUTCOME_UNAVAILABLE;
        case GRANT_NONE:
            (void)errmsg_set(err, "all %u connections are busy", pool->options.size);
            return OUTCOME_BUSY;
        case GRANT_ROOM:
            return open_connection(pool, deadline_ms, conn, err);
        case GRANT_CONN:
            break;
        }
        if (dbconn_is_alive(got)) {
            *conn = got;
            return OUTCOME_OK;
        }
        /* The server closed it while it was idle, which is no failure: take another. */
        dbconn_close(&got);
        pthread_mutex_lock(&pool->shared.mutex);
        leave_room_locked(pool);
        pthread_mutex_unlock(&pool->shared.mutex);
    }
}

enum outcome dbpool_get(struct dbpool *pool, int64_t deadline_ms, struct dbconn **conn,
                        struct errmsg *err)
{
    return borrow(pool, deadline_ms, /* may_wait= */ true, conn, err);
}

enum outcome dbpool_try(struct dbpool *pool, int64_t deadline_ms, struct dbconn **conn,
                        struct errmsg *err)
{
    return borrow(pool, deadline_ms, /* may_wait= */ false, conn, err);
}

/* Keep CONN as idle or hand it on; returns NULL, or CONN if it must be closed. */
static struct dbconn *keep_locked(struct dbpool *pool, struct dbconn *conn)
{
    if (!pool->shared.is_up) {
        pool->shared.n_open--;
        return conn;
    }
    if (dbconn_target(conn) != pool->shared.target) {
        leave_room_locked(pool);
        return conn;
    }
    if (!grant_locked(pool, GRANT_CONN, conn)) {
        pool->shared.idle[pool->shared.n_idle++] =
            (struct idle){.conn = conn, .since_ms = clock_mono_ms()};
    }
    return NULL;
}

void dbpool_put(struct dbpool *pool, struct dbconn **conn, enum dbpool_verdict verdict)
{
    struct dbconn *back = *conn;
    bool is_clean = dbconn_is_clean(back);

    *conn = NULL;
    pthread_mutex_lock(&pool->shared.mutex);
    if (verdict != DBPOOL_UNPROVEN) {
        pool->shared.failures =
            verdict == DBPOOL_ANSWERED ? 0 : pool->shared.failures + 1;
    }
    bool too_many = pool->shared.is_up && pool->shared.failures >= FAILURES_MAX;
    if (is_clean) {
        back = keep_locked(pool, back);
    } else {
        pool->shared.dirty_total += verdict == DBPOOL_ANSWERED;
        leave_room_locked(pool);
    }
    pthread_mutex_unlock(&pool->shared.mutex);
    if (!is_clean && verdict == DBPOOL_ANSWERED) {
        log_write(LOG_ERROR, "conn_dirty", "server=%s", dbconn_target(back)->host);
    }
    dbconn_close(&back);
    if (too_many) {
        dbpool_set_down(pool, "several calls in a row got no answer");
    }
}

void dbpool_state(struct dbpool *pool, struct dbpool_state *state)
{
    pthread_mutex_lock(&pool->shared.mutex);
    state->is_up = pool->shared.is_up;
    state->reason = pool->shared.reason;
    state->open = pool->shared.n_open;
    state->busy = pool->shared.n_open - pool->shared.n_idle;
    state->waiters = pool->shared.n_waiters;
    state->dirty_total = pool->shared.dirty_total;
    pthread_mutex_unlock(&pool->shared.mutex);
}
