/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The life of a router: its shards, its map, its state. */
#include "shard/router.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shard/base/clock.h"
#include "shard/base/errmsg.h"

#include "shard/id.h"
#include "shard/router_impl.h"

/* A CALL under way this long is waiting for something: another one may go beside it. */
#define SLOW_MS 100

/* Copy what all servers have in common. False: no memory. */
static bool set_account(struct router *router, const struct router_options *options)
{
    struct dbconn_target *account = &router->account;

    *account = (struct dbconn_target){.user = strdup(options->user),
                                      .password = strdup(options->password),
                                      .db_name = strdup(options->db_name),
                                      .tls_ca = strdup(options->tls_ca)};
    router->pool =
        (struct dbpool_options){.size = options->pool_size,
                                .waiters_max = options->waiters_max,
                                .connect_timeout_ms = options->connect_timeout_ms,
                                .idle_ms = options->idle_ms,
                                .admit = minder_admit,
                                .went_down = minder_wake};
    return account->user != NULL && account->password != NULL &&
           account->db_name != NULL && account->tls_ca != NULL;
}

struct router *router_new(const struct router_options *options)
{
    struct router *router = calloc(1, sizeof *router);
    struct errmsg err;

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
    router->load_report_ms = options->load_report_ms;
    router->load = options->load_report_ms > 0 ? slotload_new() : NULL;
    router->has_beats = options->has_beats;
    router->is_onlooker = options->is_onlooker;
    router->map = slotmap_new();
    router->flips = flips_new();
    router->coverage = coverage_new(SLOTMAP_FOREIGN);
    router->combiner = combiner_new(&(struct combiner_options){
        .n_shards = SLOTMAP_FOREIGN,
        .batch_max = options->batch_max,
        .waiters_max = options->waiters_max,
        .slow_ms = SLOW_MS,
        .settle_ms = options->call_timeout_ms + SHARD_KILL_MS});
    bool good = router->map != NULL && router->flips != NULL &&
                router->coverage != NULL && router->combiner != NULL &&
                (router->load != NULL || options->load_report_ms <= 0);
    if (!set_account(router, options) || !good ||
        !router_change_servers(router, options->servers, options->n_servers, &err)) {
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
    servers_free(r);
    slotmap_free(&r->map);
    flips_free(&r->flips);
    coverage_free(&r->coverage);
    combiner_free(&r->combiner);
    slotload_free(&r->load);
    free(r);
    *router = NULL;
}

struct cache *router_cache(const struct router *router)
{
    return router->cache;
}

size_t router_n_shards(const struct router *router)
{
    return atomic_load(&router->n_shards);
}

bool router_has_shard(const struct router *router, size_t shard)
{
    return shard_is_there(router, shard);
}

unsigned router_server_index(const struct router *router, const char *name)
{
    size_t n = router_n_shards(router);

    for (size_t i = 0; i < n; i++) {
        if (shard_is_there(router, i) && strcmp(shard_at(router, i)->name, name) == 0) {
            return (unsigned)i;
        }
    }
    return SLOTMAP_FOREIGN;
}

struct slot_place router_place(const struct shard *shard, uint64_t epoch,
                               const char *name)
{
    return (struct slot_place){.epoch = epoch,
                               .server = router_server_index(shard->router, name),
                               .told_by = shard->index,
                               .is_empty = name[0] == '\0'};
}

const char *router_server_name(const struct router *router, unsigned index)
{
    return index < router_n_shards(router) ? shard_at(router, index)->name : "another";
}

bool router_discover(struct router *router, int64_t deadline_ms)
{
    const struct timespec until = clock_timespec(deadline_ms);

    for (size_t i = 0; i < router_n_shards(router); i++) {
        struct shard *shard = shard_at(router, i);
        int late = shard_is_there(router, i) ? 0 : ETIMEDOUT;
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

    for (size_t i = 0; i < router_n_shards(router); i++) {
        struct router_shard_state state;
        router_shard_state(router, i, &state);
        is_up[i] = shard_is_there(router, i) && state.up && state.paused[0] == '\0';
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
    struct shard *s = shard_at(router, shard);
    struct dbpool_state pool;

    dbpool_state(s->pool, &pool);
    *state = (struct router_shard_state){
        .name = s->name,
        .up = pool.is_up,
        .reason = pool.reason,
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
    state->writable = breaker_is_closed(&s->writes, &state->writes_reason);
    pthread_mutex_lock(&s->shared.mutex);
    state->n_hearsay = s->shared.hearsay.n;
    memcpy(state->hearsay, s->shared.hearsay.text, sizeof state->hearsay);
    memcpy(state->paused, s->shared.paused, sizeof state->paused);
    pthread_mutex_unlock(&s->shared.mutex);
}

size_t router_slot_shard(struct router *router, uint32_t slot)
{
    struct slot_place place = slotmap_get(router->map, slot);

    return place.epoch == 0 || place.is_disputed || !shard_is_there(router, place.server)
               ? router_n_shards(router)
               : place.server;
}

size_t router_owner_shard(struct router *router, uint64_t owner_id)
{
    return router_slot_shard(router, slotmap_home(router->map, owner_id));
}

void router_look_again(struct router *router, size_t shard)
{
    minder_wake(shard_at(router, shard));
}
