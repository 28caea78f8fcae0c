/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The search for stored files that no row names: left by uploads that ended after storing
 * files and before making the row.
 *
 * All servers share one media directory, and one at a time searches it: the holder of the
 * lease (shard/media.h). The lease passes on when it is given back, or expires because
 * its holder has died; two that believe they have it only do the work twice. Shards are
 * asked about names by pages, each one CALL to the shard that has the authors. The thread
 * works a fifth of the time and rests otherwise. It needs memory for a page per shard,
 * however large the directory is.
 *
 * A file is removed when all of this holds, in this order:
 *   1. the shard that serves its author says that no row names it (a shard that is away,
 *      refused, or just giving the author's slot away cannot say so; the file is left
 *      alone);
 *   2. it got its name at least orphan_age_s ago;
 *   3. asked again, doubt_ms later at least, that shard says the same.
 * So no row comes afterwards. A request stores its files before it sends the CALL that
 * makes the row, and sends none after publish_timeout_ms; orphan_age_s is a minute longer
 * than that at least, which is what the clocks of server and file system may differ by.
 * A shard that was frozen may get to that CALL later; it has begun it when it answers the
 * first question, and has waited for its locks (a second each) before the second. There
 * is one way left: a commit that hangs for longer than orphan_age_s on a shard that
 * answers readers all the while. Its client was told that nobody knows whether there is a
 * video, and then there is one without a file. */
#ifndef DOUSHARD_MEDIA_SWEEP_H
#define DOUSHARD_MEDIA_SWEEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/check.h"

#include "shard/media.h"

struct config;
struct router;
struct storage;
struct sweep;

/* What is asked of the shards; the functions of shard/router.h and shard/media.h, or a
 * test's. */
struct sweep_shards {
    struct router *router;
    /* which shard has an owner; any other number when nobody knows: that is how names
     * become pages, and whom they are asked is left to find() */
    size_t (*shard_of)(struct router *, uint64_t);
    enum outcome (*lease)(struct router *, struct call *, const char *, int64_t, bool *);
    void (*find)(struct router *, struct call *, struct media_query *, size_t);
};

struct sweep_options {
    int64_t orphan_age_s; /* younger files are left alone: their row may be on its way */
    int64_t every_ms;     /* between two searches */
    int64_t lease_ms;     /* when a process dies, the others wait this long */
    int64_t doubt_ms;     /* from the first to the second question */
    unsigned rests;       /* pause after each piece of work, in durations of that work */
};

/* The options that CONFIG gives, and the real functions on ROUTER. */
struct sweep_options sweep_options(const struct config *config);
struct sweep_shards sweep_shards(struct router *router);

/* Start the thread. STORAGE and the router are borrowed until sweep_free(). NULL: no
 * memory or no thread. */
struct sweep *sweep_new(struct storage *storage, const struct sweep_shards *shards,
                        const struct sweep_options *options) MUST_CHECK;

/* Take new options, as after SIGHUP. Thread-safe. */
void sweep_configure(struct sweep *sweep, const struct sweep_options *options);

/* Counters since the start. A video has two files, a picture one. */
struct sweep_state {
    bool is_holder;   /* this process has the lease */
    uint64_t files;   /* looked at */
    uint64_t pages;   /* asked about */
    uint64_t unsure;  /* videos and pictures that no shard could say anything of */
    uint64_t removed; /* videos and pictures */
    uint64_t sweeps;  /* whole searches */
    int64_t last_ms;  /* how long the last of them took */
};

/* Thread-safe. */
void sweep_state(struct sweep *sweep, struct sweep_state *state);

/* Stop the thread, after the question that is running, give back the lease and free.
 * *SWEEP becomes NULL; NULL is allowed. */
void sweep_free(struct sweep **sweep);

#endif
