/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What the tests of edges share: the fixture, short forms of calls, a shard that freezes.
 */
#ifndef DOUSHARD_TESTS_EDGES_H
#define DOUSHARD_TESTS_EDGES_H

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "shard/base/check.h"

#include "shard/comment.h"
#include "shard/delivery.h"
#include "shard/erase.h"
#include "shard/favorite.h"
#include "shard/idem.h"
#include "shard/message.h"
#include "shard/relation.h"
#include "shard/relay.h"
#include "shard/viewer.h"

#include "tests/integration/live.h"

static struct {
    struct live live;
    struct router *router;
    struct delivery *delivery;
    struct relay *relay; /* NULL between relay_off() and relay_on() */
} fixture;

/* --- Help
 * --------------------------------------------------------------------------------- */

static inline void pause_ms(long ms)
{
    const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000};

    nanosleep(&pause, NULL);
}

static inline void relay_on(void)
{
    const struct relay_options options = {
        .poll_ms = 50, .older_ms = 200, .lease_ms = 2000};

    fixture.relay = relay_new(fixture.router, &options);
    assert_non_null(fixture.relay);
}

static inline void relay_off(void)
{
    int64_t start_ms = clock_mono_ms();

    relay_free(&fixture.relay);
    assert_true(clock_mono_ms() - start_ms < 5000);
}

static inline long long outbox_rows(void)
{
    long long n = 0;

    for (size_t i = 0; i < fixture.live.n_shards; i++) {
        n += live_number(i, "SELECT COUNT(*) FROM outbox");
    }
    return n;
}

/* Wait until the outbox of every shard is empty. */
static inline void settle(void)
{
    for (int i = 0; i < 300 && outbox_rows() > 0; i++) {
        pause_ms(50);
    }
    assert_int_equal(outbox_rows(), 0);
}

/* The number that formatted SQL answers on a shard. */
PRINTF_LIKE(2, 3) static inline long long count_where(size_t shard, const char *fmt, ...)
{
    char text[512];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return live_number(shard, text);
}

static inline enum outcome like(uint64_t user, uint64_t video, bool likes)
{
    struct work work;

    work_begin(&work, 10000);
    enum outcome outcome =
        favorite_action(fixture.delivery, &work.call, user, video, likes);
    work_end(&work);
    return outcome;
}

static inline struct user_card card_of(uint64_t user)
{
    struct work work;
    struct user_card card;

    work_begin(&work, 5000);
    assert_int_equal(user_get(fixture.router, &work.call, &user, 1, &card), OUTCOME_OK);
    work_end(&work);
    card.name = card.avatar = card.background_image = card.signature = "";
    return card;
}

static inline int64_t likes_of(uint64_t video)
{
    struct work work;
    struct video_card card;

    work_begin(&work, 5000);
    assert_int_equal(video_get(fixture.router, &work.call, &video, 1, &card), OUTCOME_OK);
    assert_true(card.id == video);
    work_end(&work);
    return card.favorite_count;
}

/* A shard that is gone for a while. */
static inline void freeze(size_t shard)
{
    assert_int_equal(kill((pid_t)fixture.live.pids[shard], SIGSTOP), 0);
}

static inline void thaw(size_t shard)
{
    assert_int_equal(kill((pid_t)fixture.live.pids[shard], SIGCONT), 0);
    for (int i = 0; i < 1000; i++) {
        struct router_shard_state state;
        router_shard_state(fixture.router, shard, &state);
        if (state.up) {
            return;
        }
        pause_ms(10);
    }
    fail_msg("the shard did not come back");
}

#endif
