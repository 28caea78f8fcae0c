/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Background work: durable jobs from the shards, purging, and files that no row names. */
#ifndef DOUSHARD_MEDIA_JANITOR_H
#define DOUSHARD_MEDIA_JANITOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/check.h"

#include "shard/job.h"
#include "shard/publish.h"

struct config;
struct delivery;
struct erase_progress;
struct janitor;
struct purge_report;
struct router;
struct storage;

/* What the janitor asks of the shards; the functions of shard/job.h, shard/publish.h,
 * shard/erase.h and shard/purge.h, or a test's. */
struct janitor_shards {
    struct router *router;
    struct delivery *delivery;
    size_t (*n_shards)(const struct router *);
    bool (*has_shard)(const struct router *, size_t); /* false: it has left */
    enum outcome (*claim)(struct router *, struct call *, size_t, size_t, int64_t,
                          struct job_list *);
    enum outcome (*finish)(struct router *, struct call *, const struct job *,
                           const struct job_report *);
    enum outcome (*find)(struct router *, struct call *, uint64_t, const char *, bool *);
    /* the cards of users; NULL: pictures are not asked for */
    enum outcome (*users)(struct router *, struct call *, const uint64_t *, size_t,
                          struct user_card *);
    enum outcome (*erase)(struct delivery *, struct call *, uint64_t,
                          struct erase_progress *);
    enum outcome (*purge)(struct router *, struct call *, size_t, size_t,
                          struct purge_report *);
    enum outcome (*repair)(struct router *, struct call *, uint64_t, uint64_t);
};

/* The limits that janitor work keeps. */
struct janitor_options {
    int job_poll_ms;      /* pause between two looks for jobs */
    int64_t orphan_age_s; /* younger files are left alone: their row may be on its way */
    int sweep_pause_ms;   /* between two questions of the sweep */
    int64_t sweep_every_ms; /* between two sweeps */
};

/* The options that CONFIG gives, and the real functions on ROUTER and
 * DELIVERY. */
struct janitor_options janitor_options(const struct config *config);
struct janitor_shards janitor_shards(struct router *router, struct delivery *delivery);

/* Start the two threads. STORAGE and what SHARDS refers to are borrowed until
 * janitor_free(). NULL: no memory or no threads. */
struct janitor *janitor_new(struct storage *storage, const struct janitor_shards *shards,
                            const struct janitor_options *options) MUST_CHECK;

/* Take new options, as after SIGHUP. Thread-safe. */
void janitor_configure(struct janitor *janitor, const struct janitor_options *options);

/* Look for jobs now: something was deleted. Never blocks; NULL is allowed. Thread-safe.
 */
void janitor_poke(struct janitor *janitor);

/* Counters since the start. */
struct janitor_state {
    uint64_t jobs_done;
    uint64_t jobs_failed; /* tries that will be repeated */
    uint64_t rows_purged;
    uint64_t orphans_removed;
    uint64_t sweeps; /* complete ones */
};

/* Thread-safe. */
void janitor_state(struct janitor *janitor, struct janitor_state *state);

/* Stop the threads, after the job or the question that is running, and free. *JANITOR
 * becomes NULL; NULL is allowed. */
void janitor_free(struct janitor **janitor);

#endif
