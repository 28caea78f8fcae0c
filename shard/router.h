/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The shard router: from an owner's slot to the shard that has it, with the only retry
 * loop.
 *
 * A router owns one pool per configured server and the slot map. Every public function is
 * thread-safe. The map is learned from the shards themselves: at start from all that
 * answer, later from answers "moved" and from periodic checks. */
#ifndef DOUSHARD_ROUTER_H
#define DOUSHARD_ROUTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/check.h"
#include "shard/base/errmsg.h"

struct router;

/* Limit of shards of a router. */
#define ROUTER_SHARDS_MAX 255

/* One configured server. */
struct router_server {
    const char *name; /* as the shard calls itself */
    const char *host; /* numeric address; ignored when socket is set */
    unsigned port;
    const char *socket;     /* path, or "" */
    bool durability_exempt; /* serve it although it may lose acknowledged writes */
};

struct cache;

/* Copied by router_new(); the strings too. */
struct router_options {
    const struct router_server *servers;
    size_t n_servers; /* 1 .. ROUTER_SHARDS_MAX */
    const char *db_name;
    const char *user;
    const char *password;
    const char *tls_ca;   /* file, or "" for no TLS */
    unsigned pool_size;   /* connections per shard */
    unsigned waiters_max; /* threads that may wait for one of them */
    unsigned batch_max;   /* operations of several requests in one CALL, 1 .. OPS_MAX; 1:
                           * requests are not combined */
    int connect_timeout_ms;
    int call_timeout_ms; /* one attempt; the request's deadline may be nearer */
    int hold_down_ms;    /* after a failed connect, and before a write is tried again */
    uint64_t min_free_bytes; /* no writes where fewer are free; 0 = not checked */
    int idle_ms;             /* an idle connection is closed after this */
    struct cache *cache;     /* (ref) in front of the shards; NULL: none */
    int load_report_ms;      /* how often the load of slots is reported; 0: not
                              * measured */
    bool is_onlooker;        /* only read: tell the shards nothing, and finish no flips */
    bool has_beats;          /* use the shards' counters, and refuse one whose data is
                              * old */
};

/* A slot that two servers claim at one epoch: nobody serves it until slot_settle(). */
struct router_dispute {
    uint32_t slot;
    uint64_t epoch;
    const char *servers[2]; /* (ref in router); "another" when it has not answered
                             * itself */
};

/* The state of one shard for /readyz, /metrics and the log. */
struct router_shard_state {
    const char *name;     /* (ref in router) */
    bool up;              /* the last attempt to reach it succeeded and it was admitted */
    struct errmsg reason; /* why not; "" when up */
    char paused[160];     /* an operator paused it: "by whom: why"; "": nobody did */
    bool writable;        /* it takes writes, as far as is known */
    struct errmsg writes_reason; /* why not; "" when it does */
    int64_t free_bytes;          /* where its files are; -1: unknown */
    unsigned conns_open;
    unsigned conns_busy;
    unsigned waiters;
    unsigned slots_owned;
    unsigned n_hearsay; /* slots about which it has heard something that is not
                         * believed */
    char hearsay[128];  /* one of them: "slot 7 is on shard3 at epoch 1" */
    uint64_t calls_total;
    uint64_t operations_total;   /* what they were asked for; at least as many */
    uint64_t calls_failed_total; /* no answer or a refused CALL */
    uint64_t replays_total;
    uint64_t moved_total;
    uint64_t writes_refused_total; /* writes not sent, because it takes none */
    uint64_t conns_dirty_total; /* returned with an open transaction or unread results */
};

/* Start a router. NULL: no memory or threads. Does not wait for the shards:
 * call router_discover(). */
struct router *router_new(const struct router_options *options) MUST_CHECK;

/* Ask every server for its slot map, in parallel, until DEADLINE_MS. True when every slot
 * 0..1023 has a known owner. A server is refused (its state says why) when it calls
 * itself by another name, its schema or a routine has a version that this program does
 * not know, or it may lose acknowledged writes. */
bool router_discover(struct router *router, int64_t deadline_ms);

/* Stop the threads and close all connections. No call may be running. *ROUTER becomes
 * NULL; NULL is allowed. */
void router_free(struct router **router);

/* As given; NULL: none. */
struct cache *router_cache(const struct router *router);

/* The shards have indexes below this. It may grow at any time, and never shrinks: a
 * caller with an array of one element per shard must remember its size. */
size_t router_n_shards(const struct router *router);

/* False: the topology does not name this shard (any more). */
bool router_has_shard(const struct router *router, size_t shard);

/* Take a new list of servers, while calls are running: servers with new names become
 * shards, with new indexes; those whose names are missing leave; others may have new
 * addresses. Calls running on a shard that leaves, or at an old address, finish normally.
 *
 * False, with ERR: nothing has changed; for one, a shard that still has
 * slots may not leave. One thread at a time. May take as long as connecting takes. */
bool router_change_servers(struct router *router, const struct router_server *servers,
                           size_t n, struct errmsg *err) MUST_CHECK;

/* Only find out whether router_change_servers() would refuse. */
bool router_check_servers(struct router *router, const struct router_server *servers,
                          size_t n, struct errmsg *err) MUST_CHECK;

/* True when every slot, shared or own, has one owner, whose shard is up. */
bool router_is_ready(struct router *router);

/* The number of slots from FROM on that are in dispute. DISPUTES (may be NULL) takes the
 * first MAX. */
unsigned router_disputes(const struct router *router, uint32_t from,
                         struct router_dispute *disputes, unsigned max);

void router_shard_state(struct router *router, size_t shard,
                        struct router_shard_state *state);

/* Have the map of a shard read again soon, because it seems to have lost a slot. */
void router_look_again(struct router *router, size_t shard);

/* Which shard has this slot now: its index, or router_n_shards() if unknown. */
size_t router_slot_shard(struct router *router, uint32_t slot);

/* The same for an owner, who may have been promoted. */
size_t router_owner_shard(struct router *router, uint64_t owner_id);

#endif
