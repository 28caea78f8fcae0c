/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Inside the router: shared by the files shard/router*.c only. */
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
#include "shard/router.h"
#include "shard/slotmap.h"

/* What a shard heard of slots and this process does not believe: another owner at the
 * same epoch, or an epoch out of reach. */
struct shard_hearsay {
    unsigned n;     /* slots */
    char text[128]; /* one of them: "slot 7 is on shard3 at epoch 1" */
};

/* One configured server, with the thread that looks after it. */
struct shard {
    struct router *router; /* (ref) */
    unsigned index;        /* position in the topology */
    char *name;            /* owned, like the strings in target */
    struct dbconn_target target;
    bool durability_exempt;
    struct dbpool *pool;            /* owned; closed while not even reading works */
    struct breaker writes;          /* open while only reading works */
    atomic_int_fast64_t free_bytes; /* where its files are; -1: nobody knows */

    pthread_t minder;
    bool has_minder;
    struct {
        pthread_mutex_t mutex;
        pthread_cond_t cond; /* wake, stop and looked change */
        bool wake;           /* the pool went down */
        bool stop;
        bool looked;                  /* the shard was tried at least once */
        struct shard_hearsay hearsay; /* of the last look */
        char paused[160];             /* what for, likewise; "": it is not paused */
    } shared;

    atomic_uint n_requests; /* that run on it or wait for it */
    atomic_uint_fast64_t calls_total;
    atomic_uint_fast64_t operations_total;
    atomic_uint_fast64_t calls_failed_total;
    atomic_uint_fast64_t replays_total;
    atomic_uint_fast64_t moved_total;
};

struct router {
    struct slotmap *map;       /* owned */
    struct coverage *coverage; /* owned */
    struct combiner *combiner; /* owned */
    struct cache *cache;       /* (ref) may be NULL */
    size_t n_shards;
    int connect_timeout_ms;
    int call_timeout_ms;
    int hold_down_ms;
    uint64_t min_free_bytes;
    unsigned requests_max; /* per shard, at a time */
    struct shard *shards;  /* owned */
};

/* Start the thread that looks after SHARD. False: no thread. */
bool minder_start(struct shard *shard) MUST_CHECK;

/* Stop it and wait for it. */
void minder_stop(struct shard *shard);

/* Look at the shard soon: its pool went down. */
void minder_wake(void *context);

/* dbpool_admit_fn for a struct shard. */
bool minder_admit(void *context, const struct dbconn_hello *hello, char *why,
                  size_t size);

/* SHARD takes no writes: keep them away and say so, until the minder finds otherwise. */
void shard_stop_writes(struct shard *shard, const char *why);

/* The index of the server NAME, or SLOTMAP_FOREIGN. */
unsigned router_server_index(const struct router *router, const char *name);

/* The name of the server with that INDEX; "another" for SLOTMAP_FOREIGN. */
const char *router_server_name(const struct router *router, unsigned index);

/* When an attempt that begins now ends at the latest: after call_timeout_ms, or with the
 * call. */
int64_t attempt_deadline(const struct router *router, const struct call *call);

/* As much time as proves that a shard is silent rather than we in a hurry. */
int64_t attempt_fair_ms(const struct router *router);

/* Is there room for one more request that runs on SHARD or waits for it? So that one
 * shard does not hold all requests of a process. False: the call says so, and the request
 * is BUSY; else shard_leave() must follow. */
bool shard_enter(struct shard *shard, struct call *call) MUST_CHECK;
void shard_leave(struct shard *shard);

/* Borrow a connection to SHARD for the CALL of EXEC, an attempt that needs LEAST_MS, and
 * count it. Not OK: there is none, and the call says why; BUSY: all are in use (MAY_WAIT
 * false), no one came free, or the shard takes no writes and this is one; TIMEOUT: less
 * than LEAST_MS are left. */
enum outcome shard_borrow(struct shard *shard, struct call *call, int64_t least_ms,
                          bool may_wait, struct dbexec *exec) MUST_CHECK;

/* Give the connection of EXEC back: there was no CALL after all. */
void shard_take_back(struct shard *shard, struct call *call, struct dbexec *exec);

/* The CALL that a connection was borrowed for has N operations. */
void shard_count(struct shard *shard, size_t n);

/* Give the connection of EXEC back after its CALL; a failure is counted, and held against
 * the shard, or against its writes, if it says something about them. */
void shard_give_back(struct shard *shard, struct call *call, struct dbexec *exec,
                     bool had_fair_time);

/* Most milliseconds that shard_kill() takes. */
#define SHARD_KILL_MS 1500

/* End the session TAG (dbconn_tag()) of SHARD. True: it has ended, and whatever it had
 * not committed by then never will be. */
bool shard_kill(struct shard *shard, const char *tag, int64_t deadline_ms) MUST_CHECK;

#endif
