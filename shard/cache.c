/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Copies of what the shards have, in this process and in Redis. */
#include "shard/cache.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/base/clock.h"
#include "shard/base/rnd.h"

#include "shard/cache_impl.h"
#include "shard/cache_mender.h"
#include "shard/proc.h"
#include "shard/rcluster.h"
#include "shard/rentry.h"
#include "shard/router_call.h"

struct kind {
    const char *name;
    char letter;
    const char *owner;
    const char *version;
    bool is_local;
    size_t bytes_max;
    int ttl_s;
};

static const struct kind kinds[] = {
#define KIND(name, letter, owner, version, local, bytes, ttl)                            \
    [CACHE_##name] = {#name, letter, owner, version, local, bytes, ttl},
#include "shard/cache_kinds.def"
#undef KIND
};

/* How long to wait at most for another reader of the same key. */
#define FLIGHT_WAIT_MS 200

_Static_assert(CACHE__COUNT <= COPY_KINDS_MAX, "copies count by kind");

enum counter {
    HITS_LOCAL,
    HITS_REDIS,
    MISSES,
    CONFIRMED,
    FILLS,
    FILLS_REFUSED,
    WRITES,
    MARKERS,
    LOST,
    STORED_BYTES,
    COUNTER__COUNT
};

struct cache {
    struct rcluster *redis;      /* (ref) may be NULL */
    struct copies *copies;       /* owned */
    bool is_local;               /* it may have copies */
    struct cache_mender *mender; /* owned; NULL without Redis */
    atomic_uint_fast64_t counters[CACHE__COUNT][COUNTER__COUNT];
};

struct cache *cache_new(const struct cache_options *options)
{
    struct cache *cache = calloc(1, sizeof *cache);

    if (cache == NULL) {
        return NULL;
    }
    rentry_init();
    cache->redis = options->redis;
    cache->is_local = options->local_bytes > 0;
    cache->copies = copies_new(options->local_bytes);
    if (cache->redis != NULL) {
        cache->mender = cache_mender_new(cache);
    }
    if (cache->copies == NULL || (cache->redis != NULL && cache->mender == NULL)) {
        cache_free(&cache);
    }
    return cache;
}

void cache_free(struct cache **cache)
{
    if (*cache != NULL) {
        cache_mender_free(&(*cache)->mender);
        copies_free(&(*cache)->copies);
        free(*cache);
        *cache = NULL;
    }
}

const char *cache_kind_name(enum cache_kind kind)
{
    return kinds[kind].name;
}

/* Does it have a time instead of a version? */
static bool is_unversioned(unsigned kind)
{
    return kinds[kind].version[0] == '\0';
}

static void count(struct cache *cache, unsigned kind, enum counter counter)
{
    atomic_fetch_add_explicit(&cache->counters[kind][counter], 1, memory_order_relaxed);
}

static void count_stored(struct cache *cache, unsigned kind, size_t bytes)
{
    atomic_fetch_add_explicit(&cache->counters[kind][STORED_BYTES], bytes,
                              memory_order_relaxed);
}

const char *cache_kind_owner(enum cache_kind kind)
{
    return kinds[kind].owner;
}

const char *cache_kind_version(enum cache_kind kind)
{
    return kinds[kind].version;
}

void cache_key_text(const struct copy_key *key, char text[RENTRY_KEY_BYTES])
{
    int len = snprintf(text, RENTRY_KEY_BYTES, "ds:{%" PRIu64 "}:%c", key->owner,
                       kinds[key->kind].letter);

    if (key->other != 0) {
        (void)snprintf(text + len, RENTRY_KEY_BYTES - (size_t)len, ":%" PRIu64,
                       key->other);
    }
}

/* Vary the lifetime, so that values stored at one time do not expire together. */
static int ttl_ms(unsigned kind)
{
    int quarter_ms = kinds[kind].ttl_s * 250;

    return 3 * quarter_ms + (int)rnd_below(2 * (uint32_t)quarter_ms);
}

/* ---- The process ---- */

bool cache_peek(struct cache *cache, struct arena *arena, struct cache_item *item)
{
    struct copy copy;

    if (cache == NULL || !kinds[item->key.kind].is_local ||
        !copies_get(cache->copies, &item->key, arena, &copy)) {
        return false;
    }
    item->ver = copy.ver;
    item->data = copy.data;
    item->len = copy.len;
    count(cache, item->key.kind, HITS_LOCAL);
    return true;
}

/* Keep ITEM in the process until UNTIL_MS. */
static void keep(struct cache *cache, const struct cache_item *item, int64_t until_ms)
{
    const struct copy copy = {
        .ver = item->ver, .data = item->data, .len = item->len, .until_ms = until_ms};

    if (kinds[item->key.kind].is_local && item->len <= kinds[item->key.kind].bytes_max) {
        copies_put(cache->copies, &item->key, &copy, item->since.ticket);
    }
}

void cache_offer(struct cache *cache, const struct cache_change *said,
                 const struct cache_since *since)
{
    const struct cache_item item = {.key = said->key,
                                    .ver = said->ver,
                                    .data = said->data,
                                    .len = said->len,
                                    .since = *since};

    if (cache != NULL) {
        keep(cache, &item, since->ms + CACHE_LOCAL_MS);
    }
}

bool cache_is_shared(const struct cache *cache)
{
    return cache != NULL && cache->redis != NULL;
}

bool cache_is_local(const struct cache *cache)
{
    return cache != NULL && cache->is_local;
}

struct cache_since cache_since(const struct cache *cache)
{
    return (struct cache_since){.ticket =
                                    cache == NULL ? 0 : copies_ticket(cache->copies),
                                .ms = clock_mono_ms()};
}

size_t cache_range(const struct copy_key *key)
{
    return copies_range(key);
}

bool cache_written_since(const struct cache *cache, size_t range, uint64_t ticket)
{
    return copies_written_since(cache->copies, range, ticket);
}

/* ---- Redis ---- */

/* The items of one call of cache_read(), or the part of them that a step handles. */
struct wanted {
    struct cache *cache;
    const struct cache_reader *reader;
    struct call *call;
    struct cache_item **items;
    size_t n;
};

/* A list with room for all items of ALL; false: out of memory. */
static bool choose(const struct wanted *all, struct wanted *some)
{
    *some = *all;
    some->n = 0;
    some->items = arena_calloc(all->call->arena, all->n, sizeof(struct cache_item *));
    return some->items != NULL;
}

/* Take what Redis answered for ITEM. */
static void take_entry(struct wanted *w, struct cache_item *item,
                       const struct rentry *entry)
{
    bool is_old = entry->age_ms >= CACHE_CONFIRM_MS;

    item->place = entry->now_ms;
    item->is_garbage = entry->is_garbage;
    item->had_value = entry->data != NULL;
    if (entry->data == NULL ||
        copies_knows_newer(w->cache->copies, &item->key, entry->ver) ||
        (is_old && is_unversioned(item->key.kind))) {
        return;
    }
    item->ver = entry->ver;
    item->data = entry->data;
    item->len = entry->len;
    item->is_unsure = is_old;
    item->age_ms = entry->age_ms;
    if (!item->is_unsure) {
        int64_t left_ms = CACHE_CONFIRM_MS - entry->age_ms;
        count(w->cache, item->key.kind, HITS_REDIS);
        keep(w->cache, item,
             item->since.ms + (left_ms < CACHE_LOCAL_MS ? left_ms : CACHE_LOCAL_MS));
    }
}

/* Run BATCH within LIMIT_MS, and before the deadline of CALL (may be NULL). */
static void run(struct cache *cache, struct rbatch *batch, int64_t limit_ms,
                const struct call *call)
{
    int64_t until_ms = clock_mono_ms() + limit_ms;

    if (call != NULL && call->deadline_ms < until_ms) {
        until_ms = call->deadline_ms;
    }
    rcluster_run(cache->redis, batch, until_ms);
}

static void ask_redis(struct wanted *w)
{
    struct rentry entry;
    struct rbatch *batch = w->cache->redis == NULL || w->n == 0 ? NULL : rbatch_new(w->n);
    char(*keys)[RENTRY_KEY_BYTES] =
        batch == NULL ? NULL : arena_calloc(w->call->arena, w->n, sizeof *keys);
    bool is_good = keys != NULL;

    for (size_t i = 0; is_good && i < w->n; i++) {
        cache_key_text(&w->items[i]->key, keys[i]);
        is_good = rentry_add_read(batch, keys[i], /* wants_value= */ true);
    }
    if (is_good) {
        run(w->cache, batch, CACHE_READ_MS, w->call);
        for (size_t i = 0; i < w->n; i++) {
            if (rentry_read(batch, i, keys[i], w->call->arena, &entry)) {
                take_entry(w, w->items[i], &entry);
            }
        }
    }
    rbatch_free(&batch);
}

bool cache_version(struct cache *cache, struct call *call, const struct copy_key *key,
                   uint64_t *ver)
{
    char text[RENTRY_KEY_BYTES];
    struct rentry entry = {.age_ms = INT64_MAX};
    struct rbatch *batch = cache == NULL || cache->redis == NULL ? NULL : rbatch_new(1);

    cache_key_text(key, text);
    if (batch != NULL && rentry_add_read(batch, text, /* wants_value= */ false)) {
        run(cache, batch, CACHE_READ_MS, call);
        if (!rentry_read(batch, 0, text, call->arena, &entry)) {
            entry.age_ms = INT64_MAX;
        }
    }
    rbatch_free(&batch);
    *ver = entry.ver;
    return entry.age_ms < CACHE_CONFIRM_MS &&
           !copies_knows_newer(cache->copies, key, entry.ver);
}

/* Store the results for items that have a place in Redis. */
static void tell_redis(struct wanted *w)
{
    char key[RENTRY_KEY_BYTES];
    struct rbatch *batch = w->n == 0 ? NULL : rbatch_new(w->n);
    bool is_good = batch != NULL;

    for (size_t i = 0; is_good && i < w->n; i++) {
        const struct cache_item *item = w->items[i];
        const struct rentry entry = {.now_ms = item->place,
                                     .ver = item->ver,
                                     .data = item->data,
                                     .len = item->len};
        cache_key_text(&item->key, key);
        is_good = item->is_garbage ? rentry_add_drop(batch, key)
                  : item->is_unsure
                      ? rentry_add_confirm(batch, key, item->ver, item->place,
                                           ttl_ms(item->key.kind))
                      : rentry_add_fill(batch, key, &entry, ttl_ms(item->key.kind));
    }
    if (is_good) {
        run(w->cache, batch, CACHE_WRITE_MS, NULL);
        for (size_t i = 0; i < w->n; i++) {
            enum rentry_fate fate = rentry_fate(batch, i);
            if (fate != RENTRY_LOST) {
                count(w->cache, w->items[i]->key.kind,
                      fate == RENTRY_STORED ? FILLS : FILLS_REFUSED);
            }
            if (fate == RENTRY_STORED && !w->items[i]->is_unsure) {
                count_stored(w->cache, w->items[i]->key.kind, w->items[i]->len);
            }
        }
    }
    rbatch_free(&batch);
}

/* ---- The shards ---- */

/* Is Redis's version of ITEM still that of its shard's ANSWER? */
static bool is_confirmed(const struct cache_item *item,
                         const struct router_answer *answer)
{
    if (answer->outcome == OUTCOME_NOTFOUND) {
        return item->len == 0;
    }
    const struct dbvalue *ver =
        answer->outcome == OUTCOME_OK
            ? dbresult_value(answer->result, answer->row, kinds[item->key.kind].version)
            : NULL;
    return ver != NULL && !ver->is_null && ver->number == item->ver && item->len > 0;
}

/* Are both of the same owner? Such items are adjacent. */
static bool is_same_owner(const struct cache_item *a, const struct cache_item *b)
{
    return a->key.owner == b->key.owner &&
           strcmp(kinds[a->key.kind].owner, kinds[b->key.kind].owner) == 0;
}

/* Ask for the versions of the owners in W, into ANSWERS; PLACE maps items to answers. */
static bool ask_versions(struct wanted *w, struct router_answer *answers, size_t *place)
{
    struct ops *ops = ops_new();
    size_t n_owners = 0;

    for (size_t i = 0; ops != NULL && i < w->n; i++) {
        if (i == 0 || !is_same_owner(w->items[i - 1], w->items[i])) {
            ops_add_owner(ops, w->items[i]->key.owner);
            ops_text(ops, "kind", kinds[w->items[i]->key.kind].owner);
            n_owners++;
        }
        place[i] = n_owners - 1;
    }
    if (ops != NULL) {
        router_batch(w->reader->router, w->call, PROC_OWNER_VERSIONS, ops, answers);
    }
    bool has_asked = ops != NULL;
    ops_free(&ops);
    return has_asked;
}

/* Ask for the versions of items that must be confirmed; those with another version or no
 * answer count as missing in Redis. */
static void confirm(struct wanted *w)
{
    struct router_answer *answers = arena_calloc(w->call->arena, w->n, sizeof *answers);
    size_t *place = arena_calloc(w->call->arena, w->n, sizeof *place);
    int64_t asked_ms = clock_mono_ms();
    bool has_asked =
        w->n > 0 && answers != NULL && place != NULL && ask_versions(w, answers, place);

    for (size_t i = 0; i < w->n; i++) {
        struct cache_item *item = w->items[i];
        if (has_asked && is_confirmed(item, &answers[place[i]])) {
            count(w->cache, item->key.kind, CONFIRMED);
            count(w->cache, item->key.kind, HITS_REDIS);
            keep(w->cache, item, asked_ms + CACHE_LOCAL_MS);
        } else {
            item->data = NULL;
            item->is_unsure = false;
        }
    }
}

/* Have LOAD read the items of W, and keep the results. */
static enum outcome load_items(struct wanted *w)
{
    for (size_t i = 0; i < w->n; i++) { /* nothing is left of Redis's values */
        w->items[i]->data = NULL;
        w->items[i]->len = 0;
        w->items[i]->ver = 0;
    }
    int64_t asked_ms = clock_mono_ms();
    enum outcome outcome =
        w->n == 0 ? OUTCOME_OK : w->reader->load(w->reader->context, w->items, w->n);

    for (size_t i = 0; i < w->n; i++) {
        struct cache_item *item = w->items[i];
        count(w->cache, item->key.kind, MISSES);
        item->is_loaded = item->data != NULL;
        /* A deletion without a version would be refused where Redis had a value. */
        item->is_garbage |= item->is_loaded && item->len == 0 && item->had_value;
        if (is_unversioned(item->key.kind)) {
            item->ver = (uint64_t)item->place;
        }
        if (item->is_loaded && item->is_ours && !item->is_private) {
            keep(w->cache, item, asked_ms + CACHE_LOCAL_MS);
        }
    }
    return outcome;
}

/* ---- Reading ---- */

static bool is_missing(const struct cache_item *item)
{
    return item->data == NULL;
}

static bool is_unsure(const struct cache_item *item)
{
    return item->data != NULL && item->is_unsure;
}

/* Must it be stored in Redis: does it have a place there, and a new value? */
static bool is_news(const struct cache_item *item)
{
    return item->data != NULL && item->place != 0 && !item->is_private &&
           (item->is_unsure || item->is_loaded) &&
           item->len <= kinds[item->key.kind].bytes_max;
}

/* Select into SOME those of ALL that are ours and for which IS_IT is true. */
static void select_ours(const struct wanted *all,
                        bool (*is_it)(const struct cache_item *), struct wanted *some)
{
    some->n = 0;
    for (size_t i = 0; i < all->n; i++) {
        if (all->items[i]->is_ours && is_it(all->items[i])) {
            some->items[some->n++] = all->items[i];
        }
    }
}

/* Become the one that asks for ITEM, unless another already does. */
static void lead(struct cache *cache, struct cache_item *item)
{
    item->flight.key = item->key;
    item->is_ours = copies_lead(cache->copies, &item->flight);
    item->is_leading = item->is_ours;
}

/* Take what is in the process. For kinds that are never kept here each reader asks
 * Redis. */
static void look_around(struct wanted *all)
{
    struct cache_since since = cache_since(all->cache);

    for (size_t i = 0; i < all->n; i++) {
        struct cache_item *item = all->items[i];
        *item = (struct cache_item){.key = item->key, .since = since, .is_ours = true};
        if (!cache_peek(all->cache, all->call->arena, item) &&
            kinds[item->key.kind].is_local) {
            lead(all->cache, item);
        }
    }
}

/* Items left are in no cache: for each, one reader in the process asks the shard. */
static void share_work(struct wanted *all)
{
    for (size_t i = 0; i < all->n; i++) {
        struct cache_item *item = all->items[i];
        if (item->is_ours && !item->is_leading && item->data == NULL &&
            item->place != 0) {
            lead(all->cache, item);
        }
    }
}

static void land(struct wanted *all)
{
    for (size_t i = 0; i < all->n; i++) {
        if (all->items[i]->is_leading) {
            copies_land(all->cache->copies, &all->items[i]->flight);
        }
    }
}

/* Get the items that are ours to ask for, from Redis or the shards. */
static enum outcome get_ours(struct wanted *all, struct wanted *some)
{
    select_ours(all, is_missing, some);
    ask_redis(some);
    select_ours(all, is_unsure, some);
    confirm(some);
    share_work(all);
    select_ours(all, is_missing, some);
    enum outcome outcome = load_items(some);
    select_ours(all, is_news, some);
    tell_redis(some);
    land(all);
    return outcome;
}

/* Wait for items that others ask for, but not long: they may also be waiting for a shard
 * that we do not need. What they did not get we ask for ourselves, for us alone. */
static enum outcome get_theirs(struct wanted *all, struct wanted *some)
{
    int64_t until_ms =
        clock_earlier(all->call->deadline_ms, clock_mono_ms() + FLIGHT_WAIT_MS);

    some->n = 0;
    for (size_t i = 0; i < all->n; i++) {
        struct cache_item *item = all->items[i];
        if (!item->is_ours && item->data == NULL &&
            (!copies_wait(all->cache->copies, &item->key, until_ms) ||
             !cache_peek(all->cache, all->call->arena, item))) {
            some->items[some->n++] = item;
        }
    }
    ask_redis(some);
    size_t n_asked = some->n;
    some->n = 0;
    for (size_t i = 0; i < n_asked; i++) {
        if (some->items[i]->data == NULL || some->items[i]->is_unsure) {
            some->items[i]->data = NULL;
            some->items[some->n++] = some->items[i];
        }
    }
    return load_items(some);
}

enum outcome cache_read(const struct cache_reader *reader, struct cache_item *items,
                        size_t n)
{
    struct call *call = reader->call;
    struct wanted all = {
        .cache = router_cache(reader->router), .reader = reader, .call = call, .n = n};
    struct wanted some;

    CHECK(n <= CACHE_ITEMS_MAX);
    all.items = arena_calloc(call->arena, n, sizeof(struct cache_item *));
    if (all.items == NULL || !choose(&all, &some)) {
        return call_no_memory(call);
    }
    for (size_t i = 0; i < n; i++) {
        all.items[i] = &items[i];
        items[i].data = NULL;
    }
    if (all.cache == NULL) {
        return n == 0 ? OUTCOME_OK : reader->load(reader->context, all.items, n);
    }
    look_around(&all);
    enum outcome ours = get_ours(&all, &some);
    enum outcome theirs = get_theirs(&all, &some);
    return ours != OUTCOME_OK ? ours : theirs;
}

/* ---- Writing ---- */

void cache_write_redis(struct cache *cache, const struct cache_change *changes, size_t n,
                       int64_t until_ms, bool *is_lost)
{
    char key[RENTRY_KEY_BYTES];
    struct rbatch *batch = rbatch_new(n);
    bool is_good = batch != NULL;

    for (size_t i = 0; is_good && i < n; i++) {
        const struct cache_change *change = &changes[i];
        bool fits = change->len <= kinds[change->key.kind].bytes_max;
        const struct rentry entry = {.ver = change->ver,
                                     .data = fits ? change->data : NULL,
                                     .len = fits ? change->len : 0};
        cache_key_text(&change->key, key);
        is_good = is_unversioned(change->key.kind)
                      ? rentry_add_strike(batch, key)
                      : rentry_add_write(batch, key, &entry, ttl_ms(change->key.kind));
    }
    if (is_good) {
        rcluster_run(cache->redis, batch, until_ms);
    }
    for (size_t i = 0; i < n; i++) {
        static const enum counter counters[] = {
            [RENTRY_LOST] = LOST, [RENTRY_STORED] = WRITES, [RENTRY_MARKED] = MARKERS};
        enum rentry_fate fate = is_good ? rentry_fate(batch, i) : RENTRY_LOST;
        if (fate != RENTRY_REFUSED) {
            count(cache, changes[i].key.kind, counters[fate]);
        }
        if (fate == RENTRY_STORED) {
            count_stored(cache, changes[i].key.kind, changes[i].len);
        }
        is_lost[i] = fate == RENTRY_LOST;
    }
    rbatch_free(&batch);
}

/* The version of a change in this process: without one it is newer than all. */
static uint64_t write_ver(const struct cache_change *change)
{
    return is_unversioned(change->key.kind) ? UINT64_MAX : change->ver;
}

static void write_local(struct cache *cache, const struct cache_change *changes, size_t n)
{
    int64_t until_ms = clock_mono_ms() + CACHE_LOCAL_MS;

    for (size_t i = 0; i < n; i++) {
        const struct copy copy = {.ver = write_ver(&changes[i]),
                                  .data = changes[i].data,
                                  .len = changes[i].len,
                                  .until_ms = until_ms};
        copies_write(cache->copies, &changes[i].key, &copy);
    }
}

/* The same, and lost changes are marked as soon as Redis answers. Until then this process
 * does not believe Redis about them. */
static void write_redis(struct cache *cache, const struct cache_change *changes, size_t n,
                        int64_t until_ms)
{
    int64_t over_ms = clock_mono_ms() + CACHE_CONFIRM_MS + CACHE_WRITE_MS;
    bool is_lost[CACHE_CHANGES_MAX];

    CHECK(n <= CACHE_CHANGES_MAX);
    cache_write_redis(cache, changes, n, until_ms, is_lost);
    /* Readers that have asked Redis since our first write_local() got the old value, so
     * write again. */
    write_local(cache, changes, n);
    for (size_t i = 0; i < n; i++) {
        if (is_lost[i]) {
            const struct copy newer = {.ver = write_ver(&changes[i]),
                                       .until_ms = over_ms};
            copies_remember(cache->copies, &changes[i].key, &newer);
            cache_mender_add(cache->mender, &changes[i].key, changes[i].ver);
        }
    }
}

void cache_write(struct cache *cache, const struct cache_change *changes, size_t n,
                 int64_t until_ms)
{
    write_local(cache, changes, n);
    if (cache->redis != NULL && n > 0) {
        write_redis(cache, changes, n, until_ms);
    }
}

void cache_state(struct cache *cache, enum cache_kind kind, struct cache_state *state)
{
    struct copies_state copies;
    const atomic_uint_fast64_t *counters = cache->counters[kind];

    copies_state(cache->copies, kind, &copies);
    *state = (struct cache_state){.hits_local_total = counters[HITS_LOCAL],
                                  .hits_redis_total = counters[HITS_REDIS],
                                  .misses_total = counters[MISSES],
                                  .confirmed_total = counters[CONFIRMED],
                                  .fills_total = counters[FILLS],
                                  .fills_refused_total = counters[FILLS_REFUSED],
                                  .writes_total = counters[WRITES],
                                  .markers_total = counters[MARKERS],
                                  .lost_total = counters[LOST],
                                  .stored_bytes_total = counters[STORED_BYTES],
                                  .local_copies = copies.n,
                                  .local_bytes = copies.bytes};
}
