/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The list of servers: at the start, and when the topology changes. router_impl.h says
 * what a change leaves alone. */
#include <stdlib.h>
#include <string.h>

#include "shard/base/errmsg.h"
#include "shard/base/log.h"

#include "shard/router_impl.h"

/* Longest pause before a shard that takes no writes is tried again. */
#define WRITES_HOLD_MAX_MS 5000

/* One change of the list. */
struct change {
    struct router *router;
    const struct router_server *servers;
    size_t n;
    struct errmsg err; /* what is wrong */
    bool is_first;     /* the router had no shards before */

    /* Made before anything changes. */
    struct shard *shards[SLOTMAP_FOREIGN]; /* per server: the shard of that name, an old
                                            * or a new one */
    struct address *addresses[SLOTMAP_FOREIGN]; /* owned; NULL: its address is
                                                 * unchanged */
    size_t n_new; /* new shards, after the router's own; owned until the change is in
                   * force */
};

/* ---- Parts of a shard ---- */

static char *copy(const char *text)
{
    return strdup(text == NULL ? "" : text);
}

static void address_free(struct address *address)
{
    while (address != NULL) {
        struct address *older = address->older;
        free((char *)(uintptr_t)address->target.host);
        free((char *)(uintptr_t)address->target.socket);
        free(address);
        address = older;
    }
}

/* NULL when out of memory. */
static struct address *address_new(const struct router *router,
                                   const struct router_server *server)
{
    struct address *address = calloc(1, sizeof *address);

    if (address == NULL) {
        return NULL;
    }
    address->target = router->account;
    address->target.host = copy(server->host);
    address->target.socket = copy(server->socket);
    address->target.port = server->port;
    if (address->target.host == NULL || address->target.socket == NULL) {
        address_free(address);
        return NULL;
    }
    return address;
}

static bool is_same_place(const struct address *address,
                          const struct router_server *server)
{
    const struct dbconn_target *target = &address->target;

    return strcmp(target->host, server->host) == 0 && target->port == server->port &&
           strcmp(target->socket, server->socket) == 0;
}

static void shard_free(struct shard *shard)
{
    if (shard == NULL) {
        return;
    }
    minder_stop(shard);
    dbpool_free(&shard->pool);
    breaker_destroy(&shard->writes);
    pthread_cond_destroy(&shard->shared.cond);
    pthread_mutex_destroy(&shard->shared.mutex);
    address_free(atomic_load(&shard->address));
    free(shard->name);
    free(shard);
}

/* A shard without a thread; NULL when out of memory. */
static struct shard *shard_new(struct router *router, size_t index,
                               const struct router_server *server)
{
    struct shard *shard = calloc(1, sizeof *shard);
    struct dbpool_options pool = router->pool;

    if (shard == NULL) {
        return NULL;
    }
    shard->router = router;
    shard->index = (unsigned)index;
    shard->name = copy(server->name);
    atomic_store(&shard->address, address_new(router, server));
    atomic_store(&shard->durability_exempt, server->durability_exempt);
    atomic_store(&shard->free_bytes, -1);
    breaker_init(&shard->writes, router->hold_down_ms, WRITES_HOLD_MAX_MS);
    pthread_mutex_init(&shard->shared.mutex, NULL);
    pthread_cond_init(&shard->shared.cond, NULL);
    if (shard->name != NULL && atomic_load(&shard->address) != NULL) {
        pool.target = &atomic_load(&shard->address)->target;
        pool.admit_context = pool.went_down_context = shard;
        shard->pool = dbpool_new(&pool);
    }
    if (shard->pool == NULL) {
        shard_free(shard);
        return NULL;
    }
    return shard;
}

/* Free a text; the password leaves no trace in freed memory. */
static void wipe(const char *text)
{
    char *owned = (char *)(uintptr_t)text;

    if (owned != NULL) {
        explicit_bzero(owned, strlen(owned));
        free(owned);
    }
}

void servers_free(struct router *router)
{
    size_t n = atomic_load(&router->n_shards);

    for (size_t i = 0; i < n; i++) {
        minder_stop(router->shards[i]); /* it may use the others */
    }
    for (size_t i = 0; i < n; i++) {
        shard_free(router->shards[i]);
    }
    wipe(router->account.user);
    wipe(router->account.password);
    wipe(router->account.db_name);
    wipe(router->account.tls_ca);
}

/* ---- Checks ---- */

static bool refuse(struct change *change, const char *text)
{
    return errmsg_set(&change->err, "%s", text);
}

/* The shard of that name, removed or not; NULL: there never was one. */
static struct shard *find_shard(const struct router *router, const char *name)
{
    size_t n = atomic_load(&router->n_shards);

    for (size_t i = 0; i < n; i++) {
        if (strcmp(router->shards[i]->name, name) == 0) {
            return router->shards[i];
        }
    }
    return NULL;
}

static bool is_named(const struct change *change, const struct shard *shard)
{
    for (size_t i = 0; i < change->n; i++) {
        if (strcmp(change->servers[i].name, shard->name) == 0) {
            return true;
        }
    }
    return false;
}

/* How many slots SHARD has, or says that it has. */
static unsigned count_slots(const struct shard *shard)
{
    struct slotmap *map = shard->router->map;
    struct slotset all;
    unsigned n = 0;

    slotmap_all(map, &all);
    for (uint32_t slot = 0; (slot = slotset_next(&all, NULL, slot)) < SLOTS_MAX; slot++) {
        struct slot_place place = slotmap_get(map, slot);
        n += place.epoch > 0 && (place.server == shard->index ||
                                 (place.is_disputed && place.rival == shard->index));
    }
    return n;
}

/* May SHARD leave? Not with slots, which would then have no owner. */
static bool check_leaving(struct change *change, const struct shard *shard)
{
    unsigned n_slots = count_slots(shard);

    if (n_slots > 0) {
        (void)errmsg_set(
            &change->err,
            "%s is not named any more, and still has %u slots: drain it first "
            "(shardctl drain %s)",
            shard->name, n_slots, shard->name);
    }
    return n_slots == 0;
}

static bool check_change(struct change *change)
{
    const struct router *router = change->router;
    size_t n = atomic_load(&router->n_shards);
    size_t n_new = 0;

    for (size_t i = 0; i < change->n; i++) {
        n_new += find_shard(router, change->servers[i].name) == NULL;
    }
    if (n + n_new > SLOTMAP_FOREIGN) {
        return refuse(change, "this process has had 255 shards: restart it for more");
    }
    for (size_t i = 0; i < n; i++) {
        const struct shard *shard = router->shards[i];
        if (shard_is_there(router, i) && !is_named(change, shard) &&
            !check_leaving(change, shard)) {
            return false;
        }
    }
    return true;
}

/* ---- Preparation ---- */

/* Make what SERVERS[I] needs: a shard, if none ever had its name, or a new address, and a
 * thread, if it has none. */
static bool prepare_server(struct change *change, size_t i)
{
    struct router *router = change->router;
    const struct router_server *server = &change->servers[i];
    struct shard *shard = find_shard(router, server->name);

    if (shard == NULL) {
        shard = shard_new(router, atomic_load(&router->n_shards) + change->n_new, server);
        change->n_new += shard != NULL;
    } else if (!is_same_place(atomic_load(&shard->address), server)) {
        change->addresses[i] = address_new(router, server);
        if (change->addresses[i] == NULL) {
            return false;
        }
    }
    change->shards[i] = shard;
    return shard != NULL && (shard->has_minder || minder_start(shard));
}

/* Nothing has changed. */
static bool undo_change(struct change *change)
{
    size_t n = atomic_load(&change->router->n_shards);

    for (size_t i = 0; i < change->n; i++) {
        struct shard *shard = change->shards[i];
        address_free(change->addresses[i]);
        if (shard != NULL && shard->index >= n) {
            shard_free(shard);
        } else if (shard != NULL && atomic_load(&shard->is_removed)) {
            minder_stop(shard);
        }
    }
    return refuse(change, "out of memory or threads");
}

/* ---- In force ---- */

static void set_address(struct shard *shard, struct address *address)
{
    address->older = atomic_load(&shard->address);
    atomic_store(&shard->address, address);
    dbpool_set_target(shard->pool, &address->target);
    minder_wake(shard);
}

/* SERVERS[I] is in use from now on, at its address. */
static void put_in_force(struct change *change, size_t i)
{
    struct router *router = change->router;
    const struct router_server *server = &change->servers[i];
    struct shard *shard = change->shards[i];
    size_t n = atomic_load(&router->n_shards);
    bool is_added = shard->index >= n || atomic_load(&shard->is_removed);

    atomic_store(&shard->durability_exempt, server->durability_exempt);
    if (change->addresses[i] != NULL) {
        set_address(shard, change->addresses[i]);
    }
    if (shard->index >= n) {
        CHECK(shard->index == n);
        router->shards[n] = shard;
        atomic_store(&router->n_shards, n + 1);
    }
    atomic_store(&shard->is_removed, false);
    minder_go(shard);
    if (is_added && !change->is_first) {
        log_write(LOG_INFO, "shard_added", "shard=%s", shard->name);
    } else if (!is_added && change->addresses[i] != NULL) {
        log_write(LOG_INFO, "shard_relocated", "shard=%s", shard->name);
    }
}

/* Calls running on SHARD finish; no new ones begin. */
static void remove_shard(struct shard *shard)
{
    atomic_store(&shard->is_removed, true);
    minder_stop(shard);
    dbpool_set_down(shard->pool, "the topology file does not name it any more");
    log_write(LOG_INFO, "shard_removed", "shard=%s", shard->name);
}

/* A change to SERVERS; nothing is made or checked yet. */
static struct change change_to(struct router *router, const struct router_server *servers,
                               size_t n)
{
    CHECK(n >= 1 && n <= SLOTMAP_FOREIGN);
    return (struct change){.router = router,
                           .servers = servers,
                           .n = n,
                           .is_first = router_n_shards(router) == 0};
}

bool router_check_servers(struct router *router, const struct router_server *servers,
                          size_t n, struct errmsg *err)
{
    struct change change = change_to(router, servers, n);
    bool good = check_change(&change);

    *err = change.err;
    return good;
}

/* Make everything that CHANGE needs. False: nothing has changed. */
static bool prepare_change(struct change *change)
{
    for (size_t i = 0; i < change->n; i++) {
        if (!prepare_server(change, i)) {
            return undo_change(change);
        }
    }
    return true;
}

bool router_change_servers(struct router *router, const struct router_server *servers,
                           size_t n, struct errmsg *err)
{
    struct change change = change_to(router, servers, n);
    bool good = check_change(&change) && prepare_change(&change);

    *err = change.err;
    for (size_t i = 0; good && i < n; i++) {
        put_in_force(&change, i);
    }
    for (size_t i = 0; good && i < router_n_shards(router); i++) {
        if (shard_is_there(router, i) && !is_named(&change, router->shards[i])) {
            remove_shard(router->shards[i]);
        }
    }
    return good;
}
