/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Background work: durable jobs from the shards, and purging. */
#ifndef DOUSHARD_MEDIA_JANITOR_H
#define DOUSHARD_MEDIA_JANITOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/check.h"

#include "shard/job.h"

struct config;
struct delivery;
struct erase_progress;
struct janitor;
struct purge_report;
struct router;
struct storage;

/* The janitor's calls to the shards: the functions of shard/job.h, shard/erase.h and
 * shard/purge.h, or a test's. */
struct janitor_shards {
    struct router *router;
    struct delivery *delivery;
    size_t (*n_shards)(const struct router *);
    bool (*has_shard)(const struct router *, size_t); /* false: it has left */
    enum outcome (*claim)(struct router *, struct call *, size_t, size_t, int64_t,
                          struct job_list *);
    enum outcome (*finish)(struct router *, struct call *, const struct job *,
                           const struct job_report *);
    enum outcome (*erase)(struct delivery *, struct call *, uint64_t,
                          struct erase_progress *);
    enum outcome (*purge)(struct router *, struct call *, size_t, size_t,
                          struct purge_report *);
    enum outcome (*repair)(struct router *, struct call *, uint64_t, uint64_t);
};

/* The settings of the janitor. */
struct janitor_options {
    int job_poll_ms; /* pause between two checks for jobs */
};

/* The options that CONFIG gives, and the real functions on ROUTER and
 * DELIVERY. */
struct janitor_options janitor_options(const struct config *config);
struct janitor_shards janitor_shards(struct router *router, struct delivery *delivery);

/* Start the thread. STORAGE and everything in SHARDS are borrowed until janitor_free().
 * NULL: no memory or no thread. */
struct janitor *janitor_new(struct storage *storage, const struct janitor_shards *shards,
                            const struct janitor_options *options) MUST_CHECK;

/* Use new options, as after SIGHUP. Thread-safe. */
void janitor_configure(struct janitor *janitor, const struct janitor_options *options);

/* Look for jobs now: something was deleted. Never blocks; NULL is allowed. Thread-safe.
 */
void janitor_poke(struct janitor *janitor);

/* Counters since the start. */
struct janitor_state {
    uint64_t jobs_done;
    uint64_t jobs_failed; /* tries that will be repeated */
    uint64_t rows_purged;
};

/* Thread-safe. */
void janitor_state(struct janitor *janitor, struct janitor_state *state);

/* Stop the thread, after the job that is running, and free. *JANITOR becomes NULL; NULL
 * is allowed. */
void janitor_free(struct janitor **janitor);

#endif
