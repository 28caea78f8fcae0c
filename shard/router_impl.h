/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Inside the router: shared by the files shard/router*.c only.
 *
 * The list of shards grows and shrinks while requests run (router_servers.c), but nothing
 * that a request refers to moves or is freed before router_free():
 *
 * - A shard has an index, which the slot map, the coverage, the combiner and the relay
 *   use, and a struct shard of its own. Indexes are given in order and never again:
 *   router->shards is an array of pointers of full size, of which the first n_shards are
 *   set. It is written by router_change_servers() only, the pointer before the number.
 * - n_shards only grows. Users of an array with one element per shard remember its size,
 *   and leave out what came later.
 * - A removed shard is a tombstone: is_removed is set, its minder has ended, its pool is
 *   closed; calls that run on it end as they would, others find it unavailable. It comes
 *   back to life, under its old index, when a server of the same name is added.
 * - An address that was replaced is kept, for connections to it may still be out; they
 *   are closed when they come back. What is to be killed is killed where it runs. */
#ifndef DOUSHARD_ROUTER_IMPL_H
#define DOUSHARD_ROUTER_IMPL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/breaker.h"
#include "shard/call.h"
#include "shard/combiner.h"
#include "shard/coverage.h"
#include "shard/dbexec.h"
#include "shard/dbpool.h"
#include "shard/flips.h"
#include "shard/router.h"
#include "shard/slotload.h"
#include "shard/slotmap.h"

/* What a shard has heard about slots and this process does not believe: another owner at
 * the same epoch, or an epoch too far ahead. */
struct shard_hearsay {
    unsigned n;     /* slots */
    char text[128]; /* one of them: "slot 7 is on shard3 at epoch 1" */
};

/* A present or former address of a server. */
struct address {
    struct dbconn_target target; /* host and socket are owned, the rest is the router's */
    struct address *older;       /* owned */
};

/* One server, with the thread that minds it. */
struct shard {
    struct router *router;           /* (ref) */
    unsigned index;                  /* in router->shards */
    char *name;                      /* owned */
    struct address *_Atomic address; /* owned; the newest */
    atomic_bool is_removed;          /* the topology no longer names it */
    atomic_bool durability_exempt;
    struct dbpool *pool;            /* owned; closed while not even reading works */
    struct breaker writes;          /* open while only reading works */
    atomic_int_fast64_t free_bytes; /* where its files are; -1: nobody knows */
    atomic_uint_fast64_t beat;      /* its highest counter on disk that anybody remembers;
                                     * see router_beat.h */

    pthread_t minder;
    bool has_minder;
    struct {
        pthread_mutex_t mutex;
        pthread_cond_t cond; /* wake, stop and looked change */
        bool go;             /* the minder may begin */
        bool wake;           /* the pool went down */
        bool stop;
        bool looked; /* the shard was tried at least once */
        bool heard; /* what it remembers of others was read, or it could not be reached */
        struct shard_hearsay hearsay; /* of the last look */
        char paused[160];             /* why, likewise; "": it is not paused */
    } shared;

    atomic_int_fast64_t hurried_ms; /* monotonic; when minder_hurry() woke it last */
    atomic_uint n_requests;         /* requests that run on it or wait for it */
    atomic_uint_fast64_t calls_total;
    atomic_uint_fast64_t operations_total;
    atomic_uint_fast64_t calls_failed_total;
    atomic_uint_fast64_t replays_total;
    atomic_uint_fast64_t moved_total;
};

struct router {
    struct slotmap *map;       /* owned */
    struct flips *flips;       /* owned */
    struct coverage *coverage; /* owned */
    struct combiner *combiner; /* owned */
    struct cache *cache;       /* (ref) may be NULL */
    struct slotload *load;     /* owned; NULL: nothing is counted */
    int load_report_ms;
    atomic_size_t n_shards;
    struct shard *shards[SLOTMAP_FOREIGN]; /* owned */
    int connect_timeout_ms;
    int call_timeout_ms;
    int hold_down_ms;
    uint64_t min_free_bytes;
    bool has_beats;
    bool is_onlooker;
    unsigned requests_max;        /* per shard, at a time */
    struct dbconn_target account; /* account for every server; the strings are owned; no
                                   * address */
    struct dbpool_options pool;   /* options of every pool; no target, no contexts */
};

/* The shard with that INDEX, which must be below n_shards; removed ones too. */
static inline struct shard *shard_at(const struct router *router, size_t index)
{
    CHECK(index < atomic_load(&router->n_shards));
    return router->shards[index];
}

/* Is there such a shard, and the topology names it? */
static inline bool shard_is_there(const struct router *router, size_t index)
{
    return index < atomic_load(&router->n_shards) &&
           !atomic_load(&router->shards[index]->is_removed);
}

/* Stop all shards and free them, and what all have in common. */
void servers_free(struct router *router);

/* Make the thread that minds SHARD, which waits for minder_go(). False: no thread. */
bool minder_start(struct shard *shard) MUST_CHECK;
void minder_go(struct shard *shard);

/* Report the load of its slots since the last time to the shard of CONN, and have it
 * count the rows of a few. False, with ERR: it did not answer; this report is lost, which
 * does not matter for a recent rate. */
bool load_report(struct shard *shard, struct dbconn *conn, struct errmsg *err) MUST_CHECK;

/* Stop it and wait for it. */
void minder_stop(struct shard *shard);

/* Look at the shard soon: its pool went down. */
void minder_wake(void *context);

/* The same for one of many waiting requests: limited to how often it is useful. */
void minder_hurry(struct shard *shard);

/* dbpool_admit_fn for a struct shard. */
bool minder_admit(void *context, const struct dbconn_hello *hello, struct errmsg *err);

/* SHARD takes no writes: refuse them, with the REASON, until the minder finds that it
 * does. */
void shard_stop_writes(struct shard *shard, const char *reason);

/* The index of the server NAME, or SLOTMAP_FOREIGN. */
unsigned router_server_index(const struct router *router, const char *name);

/* The place of a slot as SHARD reports it: at EPOCH on the server NAME ("": its owner has
 * left it). */
struct slot_place router_place(const struct shard *shard, uint64_t epoch,
                               const char *name);

/* The name of the server with that INDEX; "another" for SLOTMAP_FOREIGN. */
const char *router_server_name(const struct router *router, unsigned index);

/* When an attempt that begins now ends at the latest: after call_timeout_ms, or with the
 * call. */
int64_t attempt_deadline(const struct router *router, const struct call *call);

/* Enough time that no answer means a silent shard rather than a hasty request. */
int64_t attempt_fair_ms(const struct router *router);

/* Is there room for one more request that runs on SHARD or waits for it? The limit keeps
 * one shard from holding all requests of a process. False: the call says so, and the
 * request is BUSY; else call shard_leave() afterwards. */
bool shard_enter(struct shard *shard, struct call *call) MUST_CHECK;
void shard_leave(struct shard *shard);

/* Borrow a connection to SHARD for the CALL of EXEC, an attempt that needs LEAST_MS, and
 * count it. Not OK: there is none, and the call says why; BUSY: all are in use (MAY_WAIT
 * false), none became free, or this is a write and the shard takes none; TIMEOUT: less
 * than LEAST_MS are left. */
enum outcome shard_borrow(struct shard *shard, struct call *call, int64_t least_ms,
                          bool may_wait, struct dbexec *exec) MUST_CHECK;

/* Give the connection of EXEC back without a CALL. */
void shard_take_back(struct shard *shard, struct call *call, struct dbexec *exec);

/* The CALL that a connection was borrowed for has N operations. */
void shard_count(struct shard *shard, size_t n);

/* Give the connection of EXEC back after its CALL; a failure is counted, also against the
 * shard or its writes if it says something about them. */
void shard_give_back(struct shard *shard, struct call *call, struct dbexec *exec,
                     bool had_fair_time);

/* Most milliseconds that shard_kill() takes. */
#define SHARD_KILL_MS 1500

/* A session of a shard: where its connection leads (dbconn_target()), and its
 * dbconn_tag(). */
struct shard_session {
    const struct dbconn_target *target; /* (ref) */
    char tag[DBCONN_TAG_SIZE];
};

/* End SESSION of SHARD. True: it has ended, and whatever it had not committed by then
 * never will be. */
bool shard_kill(struct shard *shard, const struct shard_session *session,
                int64_t deadline_ms) MUST_CHECK;

#endif
