/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The cache: copies of rows of the shards, in this process (copies.h) and in Redis
 * (rentry.h) for all processes. Never authoritative, and never required.
 *
 *   reader   cache_read()  process --none--> Redis --none, or unsure--> the shards
 *   writer   CALL commits, cache_learn() -> process, Redis, then the client is answered
 *
 * Why readers do not see stale values:
 * - every value has the version that its shard gave it, and never replaces a newer one,
 *   neither here nor in Redis;
 * - before a missing value is read from its shard it gets a place in Redis, so that a
 *   writer finds something to update, and an earlier reader comes too late;
 * - a value not confirmed for CACHE_CONFIRM_MS is compared with the version at the shard
 *   before it is used. So whatever was lost between a commit and Redis (a process that
 *   died, a failover, an operator's CALL) is noticed by then.
 *
 * One reader per process asks for a key, the others wait for it. Nothing waits for Redis
 * longer than CACHE_READ_MS or CACHE_WRITE_MS.
 */
#ifndef DOUSHARD_CACHE_H
#define DOUSHARD_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/check.h"

#include "shard/call.h"
#include "shard/copies.h"
#include "shard/dbresult.h"
#include "shard/outcome.h"
#include "shard/proc.h"
#include "shard/rentry.h"

struct rcluster;
struct router;

enum cache_kind {
#define KIND(name, letter, owner, version, local, bytes, ttl) CACHE_##name,
#include "shard/cache_kinds.def"
#undef KIND
    CACHE__COUNT
};

/* Together with a copy in the process, and a page made of it, this is 5 s. */
#define CACHE_CONFIRM_MS 4000
#define CACHE_READ_MS    50
#define CACHE_WRITE_MS   50

/* How long a copy in the process is shown, and again a page made of it: a second in
 * all. */
#define CACHE_LOCAL_MS 500

struct cache;

struct cache_options {
    struct rcluster *redis; /* (ref) NULL: copies are in this process alone */
    size_t local_bytes;     /* for them; 0: there are none in this process */
};

/* NULL: out of memory. */
struct cache *cache_new(const struct cache_options *options) MUST_CHECK;

/* It must no longer be in use. *CACHE becomes NULL; NULL is allowed. */
void cache_free(struct cache **cache);

/* A point in time: values read after it are not older. */
struct cache_since {
    uint64_t ticket; /* of the copies of this process */
    int64_t ms;      /* monotonic */
};

/* Now. CACHE may be NULL. */
struct cache_since cache_since(const struct cache *cache);

/* A value to read, and the result. */
struct cache_item {
    struct copy_key key; /* set by the caller; the kind is an enum cache_kind */

    /* Set when it is known. */
    uint64_t ver;
    const char *data; /* in the call's arena; NULL: could not be read */
    size_t len;       /* 0: there is no such thing */
    int64_t age_ms;   /* since a shard confirmed it, at most */
    bool is_private;  /* set by LOAD: right for this reader, but must not be kept */

    /* Of the cache. */
    struct flight flight;
    struct cache_since since; /* when it was asked for */
    int64_t place;            /* Redis: since when it has a place there; 0: it has none */
    bool is_ours;             /* we ask, not another one for us */
    bool is_leading;          /* others may wait for us */
    bool is_unsure;           /* Redis has it, but it must be confirmed */
    bool is_loaded;           /* its shard has answered */
    bool had_value;           /* Redis had something */
    bool is_garbage;          /* Redis had garbage */
};

/* Ask the shards for the N ITEMS: sets ver, data (in the call's arena) and len of those
 * that are answered. */
typedef enum outcome cache_load_fn(void *context, struct cache_item **items, size_t n);

/* A reader, and how it reads what no cache has. */
struct cache_reader {
    struct router *router; /* its cache is used; without a cache LOAD reads everything */
    struct call *call;
    cache_load_fn *load;
    void *context;
};

/* Get the N ITEMS, at most CACHE_ITEMS_MAX, all different, of at most OPS_MAX owners;
 * LOAD reads what neither this process nor Redis has, and its outcome is returned: OK
 * when everything was cached. Blocks until the call's deadline at the latest. */
enum outcome cache_read(const struct cache_reader *reader, struct cache_item *items,
                        size_t n);

#define CACHE_ITEMS_MAX 512

/* Read item->key from this process, if it has a copy that may be shown now; never blocks.
 * CACHE may be NULL. */
bool cache_peek(struct cache *cache, struct arena *arena,
                struct cache_item *item) MUST_CHECK;

/* The version of KEY in Redis, without its value. False: it has none that could be
 * shown now. CACHE may be NULL. Blocks for CACHE_READ_MS at most. */
bool cache_version(struct cache *cache, struct call *call, const struct copy_key *key,
                   uint64_t *ver) MUST_CHECK;

/* The new state of KEY, from its shard. */
struct cache_change {
    struct copy_key key;
    uint64_t ver;
    const char *data; /* NULL: only that it has changed (a marker); always so for kinds
                       * without version */
    size_t len;       /* 0: it does not exist any more */
};

/* A shard has answered this in addition, SINCE: keep it in this process.
 * CACHE may be NULL. */
void cache_offer(struct cache *cache, const struct cache_change *said,
                 const struct cache_since *since);

/* A write is committed: update the caches, so that no reader sees the old state. Blocks
 * until UNTIL_MS (monotonic) at most, CACHE_WRITE_MS after the commit; a thread goes on
 * with what Redis has not answered by then (cache_mender.h). At most
 * CACHE_CHANGES_MAX. */
#define CACHE_CHANGES_MAX 256
void cache_write(struct cache *cache, const struct cache_change *changes, size_t n,
                 int64_t until_ms);

/* Update the caches from what a CALL of PROC, which writes, has answered about owners. */
void cache_learn(struct cache *cache, enum proc_id proc, const struct dbresult *results);

/* May this process have written a key of RANGE (see cache_range()) since TICKET?
 */
bool cache_written_since(const struct cache *cache, size_t range, uint64_t ticket);
size_t cache_range(const struct copy_key *key);

/* Is there a Redis? CACHE may be NULL. */
bool cache_is_shared(const struct cache *cache);

/* May there be copies in this process? CACHE may be NULL. */
bool cache_is_local(const struct cache *cache);

/* Of one kind; counters since the start, but for the last two. */
struct cache_state {
    uint64_t hits_local_total;    /* found in the process */
    uint64_t hits_redis_total;    /* found in Redis */
    uint64_t misses_total;        /* had from the shards */
    uint64_t confirmed_total;     /* of the found in Redis: after a look at the version */
    uint64_t fills_total;         /* put into Redis */
    uint64_t fills_refused_total; /* not put, because Redis had something newer or
                                   * nothing */
    uint64_t writes_total;        /* written through where something was cached */
    uint64_t markers_total;       /* marked as changed, likewise */
    uint64_t lost_total;          /* writes and markers without a timely answer of
                                   * Redis */
    uint64_t stored_bytes_total;  /* of values put into Redis */
    uint64_t local_copies;
    uint64_t local_bytes;
};

void cache_state(struct cache *cache, enum cache_kind kind, struct cache_state *state);

/* As in cache_kinds.def: "USER", "VIDEO" ..; "user" or "video", whose owner_versions()
 * knows the version in this column; "" and "" without. Static texts. */
const char *cache_kind_name(enum cache_kind kind);
const char *cache_kind_owner(enum cache_kind kind);
const char *cache_kind_version(enum cache_kind kind);

/* The key of KEY in Redis. */
void cache_key_text(const struct copy_key *key, char text[RENTRY_KEY_BYTES]);

#endif
