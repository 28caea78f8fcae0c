/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The life of a router: its shards, its map, what it tells of itself. */
#include "shard/router.h"

#include <stdlib.h>
#include <string.h>

#include "shard/base/clock.h"

#include "shard/id.h"
#include "shard/router_impl.h"

/* A CALL under way for so long waits for something: another one may go beside it. */
#define SLOW_MS 100

/* Longest pause before a shard that takes no writes is asked again. */
#define WRITES_HOLD_MAX_MS 5000

static char *copy(const char *text)
{
    return strdup(text == NULL ? "" : text);
}

/* Fill SHARD; false when memory is short. shard_release() undoes any part of it. */
static bool shard_init(struct shard *shard, struct router *router, unsigned index,
                       const struct router_options *options)
{
    const struct router_server *server = &options->servers[index];

    shard->router = router;
    shard->index = index;
    shard->name = copy(server->name);
    shard->durability_exempt = server->durability_exempt;
    shard->target = (struct dbconn_target){.host = copy(server->host),
                                           .port = server->port,
                                           .socket = copy(server->socket),
                                           .user = copy(options->user),
                                           .password = copy(options->password),
                                           .db_name = copy(options->db_name),
                                           .tls_ca = copy(options->tls_ca)};
    breaker_init(&shard->writes, options->hold_down_ms, WRITES_HOLD_MAX_MS);
    atomic_store(&shard->free_bytes, -1);
    pthread_mutex_init(&shard->shared.mutex, NULL);
    pthread_cond_init(&shard->shared.cond, NULL);
    const struct dbconn_target *t = &shard->target;
    if (shard->name == NULL || t->host == NULL || t->socket == NULL || t->user == NULL ||
        t->password == NULL || t->db_name == NULL || t->tls_ca == NULL) {
        return false;
    }
    const struct dbpool_options pool = {.target = *t,
                                        .size = options->pool_size,
                                        .waiters_max = options->waiters_max,
                                        .connect_timeout_ms = options->connect_timeout_ms,
                                        .idle_ms = options->idle_ms,
                                        .admit = minder_admit,
                                        .admit_context = shard,
                                        .went_down = minder_wake,
                                        .went_down_context = shard};
    shard->pool = dbpool_new(&pool);
    return shard->pool != NULL;
}

/* Free a text that only this shard knew; the password leaves no trace in freed memory. */
static void wipe(const char *text)
{
    char *owned = (char *)(uintptr_t)text;

    if (owned != NULL) {
        explicit_bzero(owned, strlen(owned));
        free(owned);
    }
}

static void shard_release(struct shard *shard)
{
    dbpool_free(&shard->pool);
    breaker_destroy(&shard->writes);
    pthread_cond_destroy(&shard->shared.cond);
    pthread_mutex_destroy(&shard->shared.mutex);
    wipe(shard->name);
    wipe(shard->target.host);
    wipe(shard->target.socket);
    wipe(shard->target.user);
    wipe(shard->target.password);
    wipe(shard->target.db_name);
    wipe(shard->target.tls_ca);
}

struct router *router_new(const struct router_options *options)
{
    CHECK(options->n_servers >= 1 && options->n_servers < SLOTMAP_FOREIGN);
    struct router *router = calloc(1, sizeof *router);
    if (router == NULL || !dbconn_library_init()) {
        free(router);
        return NULL;
    }
    router->connect_timeout_ms = options->connect_timeout_ms;
    router->call_timeout_ms = options->call_timeout_ms;
    router->hold_down_ms = options->hold_down_ms;
    router->min_free_bytes = options->min_free_bytes;
    router->requests_max = options->pool_size + options->waiters_max;
    router->cache = options->cache;
    router->map = slotmap_new();
    router->coverage = coverage_new(options->n_servers);
    router->combiner = combiner_new(&(struct combiner_options){
        .n_shards = options->n_servers,
        .batch_max = options->batch_max,
        .waiters_max = options->waiters_max,
        .slow_ms = SLOW_MS,
        .settle_ms = options->call_timeout_ms + SHARD_KILL_MS});
    router->shards = calloc(options->n_servers, sizeof *router->shards);
    bool good = router->map != NULL && router->coverage != NULL &&
                router->combiner != NULL && router->shards != NULL;
    for (unsigned i = 0; good && i < options->n_servers; i++) {
        router->n_shards++;
        good = shard_init(&router->shards[i], router, i, options);
    }
    for (size_t i = 0; good && i < router->n_shards; i++) {
        good = minder_start(&router->shards[i]);
    }
    if (!good) {
        router_free(&router);
    }
    return router;
}

void router_free(struct router **router)
{
    struct router *r = *router;

    if (r == NULL) {
        return;
    }
    for (size_t i = 0; i < r->n_shards; i++) {
        minder_stop(&r->shards[i]);
    }
    for (size_t i = 0; i < r->n_shards; i++) {
        shard_release(&r->shards[i]);
    }
    slotmap_free(&r->map);
    coverage_free(&r->coverage);
    combiner_free(&r->combiner);
    free(r->shards);
    free(r);
    *router = NULL;
}

struct cache *router_cache(const struct router *router)
{
    return router->cache;
}

size_t router_n_shards(const struct router *router)
{
    return router->n_shards;
}

unsigned router_server_index(const struct router *router, const char *name)
{
    for (size_t i = 0; i < router->n_shards; i++) {
        if (strcmp(router->shards[i].name, name) == 0) {
            return (unsigned)i;
        }
    }
    return SLOTMAP_FOREIGN;
}

const char *router_server_name(const struct router *router, unsigned index)
{
    return index < router->n_shards ? router->shards[index].name : "another";
}

bool router_discover(struct router *router, int64_t deadline_ms)
{
    const struct timespec until = clock_timespec(deadline_ms);

    for (size_t i = 0; i < router->n_shards; i++) {
        struct shard *shard = &router->shards[i];
        int late = 0;
        pthread_mutex_lock(&shard->shared.mutex);
        while (!shard->shared.looked && late == 0) {
            late = pthread_cond_clockwait(&shard->shared.cond, &shard->shared.mutex,
                                          CLOCK_MONOTONIC, &until);
        }
        pthread_mutex_unlock(&shard->shared.mutex);
    }
    for (uint32_t slot = 0; slot < SHARED_SLOTS; slot++) {
        if (slotmap_get(router->map, slot).epoch == 0) {
            return false;
        }
    }
    return true;
}

bool router_is_ready(struct router *router)
{
    bool is_up[SLOTMAP_FOREIGN + 1] = {false};

    for (size_t i = 0; i < router->n_shards; i++) {
        struct router_shard_state state;
        router_shard_state(router, i, &state);
        is_up[i] = state.up && state.paused[0] == '\0';
    }
    struct slotset all;
    slotmap_all(router->map, &all);
    for (uint32_t slot = 0; (slot = slotset_next(&all, NULL, slot)) < SLOTS_MAX; slot++) {
        struct slot_place place = slotmap_get(router->map, slot);
        if (place.epoch == 0 || place.is_disputed || !is_up[place.server]) {
            return false;
        }
    }
    return true;
}

unsigned router_disputes(const struct router *router, uint32_t from,
                         struct router_dispute *disputes, unsigned max)
{
    struct slotset all;
    unsigned n = 0;

    slotmap_all(router->map, &all);
    for (uint32_t slot = from; (slot = slotset_next(&all, NULL, slot)) < SLOTS_MAX;
         slot++) {
        struct slot_place place = slotmap_get(router->map, slot);
        if (place.is_disputed && n++ < max) {
            disputes[n - 1] = (struct router_dispute){
                .slot = slot,
                .epoch = place.epoch,
                .servers = {router_server_name(router, place.server),
                            router_server_name(router, place.rival)}};
        }
    }
    return n;
}

void router_shard_state(struct router *router, size_t shard,
                        struct router_shard_state *state)
{
    CHECK(shard < router->n_shards);
    struct shard *s = &router->shards[shard];
    struct dbpool_state pool;

    dbpool_get_state(s->pool, &pool);
    *state = (struct router_shard_state){
        .name = s->name,
        .up = pool.is_up,
        .conns_open = pool.open,
        .conns_busy = pool.busy,
        .waiters = pool.waiters,
        .slots_owned = slotmap_count(router->map, s->index),
        .calls_total = atomic_load(&s->calls_total),
        .operations_total = atomic_load(&s->operations_total),
        .calls_failed_total = atomic_load(&s->calls_failed_total),
        .replays_total = atomic_load(&s->replays_total),
        .moved_total = atomic_load(&s->moved_total),
        .conns_dirty_total = pool.dirty_total,
        .writes_refused_total = atomic_load(&s->writes.refused_total),
        .free_bytes = atomic_load(&s->free_bytes),
    };
    state->writable =
        breaker_is_closed(&s->writes, state->writes_reason, sizeof state->writes_reason);
    memcpy(state->reason, pool.reason, sizeof state->reason);
    pthread_mutex_lock(&s->shared.mutex);
    state->n_hearsay = s->shared.hearsay.n;
    memcpy(state->hearsay, s->shared.hearsay.text, sizeof state->hearsay);
    memcpy(state->paused, s->shared.paused, sizeof state->paused);
    pthread_mutex_unlock(&s->shared.mutex);
}

size_t router_slot_shard(struct router *router, uint32_t slot)
{
    struct slot_place place = slotmap_get(router->map, slot);

    return place.epoch == 0 || place.is_disputed || place.server >= router->n_shards
               ? router->n_shards
               : place.server;
}

size_t router_owner_shard(struct router *router, uint64_t owner_id)
{
    return router_slot_shard(router, slotmap_home(router->map, owner_id));
}

void router_look_again(struct router *router, size_t shard)
{
    CHECK(shard < router->n_shards);
    minder_wake(&router->shards[shard]);
}
