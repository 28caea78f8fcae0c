/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What tests of the shard library with real shards share: the shards, a router on
 * them, SQL as root, users and videos on any shard.
 *
 * TEST_SHARDS=2, TEST_SHARD_0="shard1 127.0.0.1 4001 PID", ..; TEST_PASSWORD_FILE; and
 * the variables of root.h. */
#ifndef DOUSHARD_TESTS_LIVE_H
#define DOUSHARD_TESTS_LIVE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shard/base/clock.h"
#include "shard/base/rnd.h"

#include "shard/id.h"
#include "shard/publish.h"
#include "shard/router.h"
#include "shard/router_call.h"
#include "shard/user.h"

#include "tests/integration/freeze.h"
#include "tests/integration/root.h"

/* Number of operations that may wait for a connection to a shard. */
#define LIVE_WAITERS 256

struct live {
    size_t n_shards;
    char names[SHARDS_MAX][32];
    char hosts[SHARDS_MAX][64];
    unsigned ports[SHARDS_MAX];
    long pids[SHARDS_MAX];
    char password[128];
};

/* One request: its memory and its context. */
struct work {
    struct arena arena;
    struct call call;
};

static inline void work_begin(struct work *work, int64_t timeout_ms)
{
    arena_init(&work->arena, 8u << 20);
    call_init(&work->call, &work->arena, clock_mono_ms() + timeout_ms);
}

static inline void work_end(struct work *work)
{
    arena_release(&work->arena);
}

/* Reads the environment. False: the password file cannot be read. */
static inline bool live_init(struct live *live)
{
    live->n_shards = (size_t)strtoul(live_env("TEST_SHARDS"), NULL, 10);
    for (size_t i = 0; i < live->n_shards; i++) {
        // NOLINTNEXTLINE(cert-err34-c)
        if (sscanf(live_env_of("TEST_SHARD", i), "%31s %63s %u %ld", live->names[i],
                   live->hosts[i], &live->ports[i], &live->pids[i]) != 4) {
            return false;
        }
    }
    FILE *file = fopen(live_env("TEST_PASSWORD_FILE"), "r");
    bool good =
        file != NULL && fgets(live->password, sizeof live->password, file) != NULL;
    if (file != NULL) {
        (void)fclose(file);
    }
    live->password[strcspn(live->password, "\r\n")] = '\0';
    return good;
}

/* The options of a router on all shards; SERVERS is where they are stored. */
static inline struct router_options
live_options(const struct live *live, struct router_server *servers, unsigned pool_size)
{
    for (size_t i = 0; i < live->n_shards; i++) {
        servers[i] = (struct router_server){.name = live->names[i],
                                            .host = live->hosts[i],
                                            .port = live->ports[i],
                                            .socket = ""};
    }
    return (struct router_options){.servers = servers,
                                   .n_servers = live->n_shards,
                                   .db_name = "doushard",
                                   .user = "doushard_app",
                                   .password = live->password,
                                   .tls_ca = "",
                                   .pool_size = pool_size,
                                   .waiters_max = LIVE_WAITERS,
                                   .batch_max = OPS_MAX,
                                   .connect_timeout_ms = 1000,
                                   .call_timeout_ms = 1500,
                                   .hold_down_ms = 100,
                                   .idle_ms = 60000};
}

/* A router that has asked every shard for its map. */
static inline struct router *live_start(const struct router_options *options)
{
    struct router *router = router_new(options);

    assert_non_null(router);
    assert_true(router_discover(router, clock_mono_ms() + 10000));
    return router;
}

/* A router on all shards that knows the owner of every slot. */
static inline struct router *live_router(const struct live *live, unsigned pool_size)
{
    struct router_server servers[SHARDS_MAX];
    const struct router_options options = live_options(live, servers, pool_size);
    struct router *router = live_start(&options);

    assert_true(router_is_ready(router));
    return router;
}

/* Registers a user with this name. */
static inline enum outcome live_try_register(struct router *router, const char *name,
                                             uint64_t *id)
{
    struct work work;
    struct user_register_args args = {
        .name = name,
        .password_hash = "$test$",
        .session = {.expires_at_ms = clock_wall_ms() + 3600000, .keep_max = 8}};

    rnd_bytes(args.op, sizeof args.op);
    rnd_bytes(args.session.id, sizeof args.session.id);
    work_begin(&work, 10000);
    enum outcome outcome = user_register(router, &work.call, &args, id);
    work_end(&work);
    return outcome;
}

/* A new user with this name. */
static inline uint64_t live_register(struct router *router, const char *name)
{
    uint64_t id = 0;

    assert_int_equal(live_try_register(router, name, &id), OUTCOME_OK);
    return id;
}

/* A name that is probably unused; returns its slot. */
static inline uint32_t live_name(char *name, size_t size)
{
    snprintf(name, size, "u%08x%04x", rnd_below(UINT32_MAX), rnd_below(65536));
    return id_name_slot(name, strlen(name));
}

/* Such a name in a slot of SHARD. */
static inline void live_name_on(struct router *router, size_t shard, char *name,
                                size_t size)
{
    while (router_slot_shard(router, live_name(name, size)) != shard) {
    }
}

/* A new user in a slot of SHARD. */
static inline uint64_t live_user(struct router *router, size_t shard)
{
    char name[32];

    live_name_on(router, shard, name, sizeof name);
    return live_register(router, name);
}

/* A new user in SLOT, which is shared. */
static inline uint64_t live_user_in(struct router *router, uint32_t slot)
{
    char name[32];

    while (live_name(name, sizeof name) != slot) {
    }
    return live_register(router, name);
}

/* A request for a video by AUTHOR, with an op of its own. */
static inline struct publish_action_args live_video_args(uint64_t author)
{
    struct publish_action_args args = {.author_id = author,
                                       .title = "a title",
                                       .media = "0123456789abcdef",
                                       .size_bytes = 1000,
                                       .duration_ms = 1000,
                                       .width = 64,
                                       .height = 64};

    rnd_bytes(args.op, sizeof args.op);
    return args;
}

/* A new video by AUTHOR. */
static inline uint64_t live_video(struct router *router, uint64_t author)
{
    const struct publish_action_args args = live_video_args(author);
    const char *media = NULL;
    uint64_t id = 0;
    struct work work;

    work_begin(&work, 10000);
    assert_int_equal(publish_action(router, &work.call, &args, &id, &media), OUTCOME_OK);
    work_end(&work);
    return id;
}

#endif
