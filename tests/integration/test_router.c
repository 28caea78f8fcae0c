/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Router, pools and connections on real shards; router.test.js starts them. The
 * environment is that of live.h. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shard/base/clock.h"
#include "shard/base/rnd.h"

#include "shard/dbpool.h"
#include "shard/feed.h"
#include "shard/id.h"
#include "shard/job.h"
#include "shard/media.h"
#include "shard/publish.h"
#include "shard/router.h"
#include "shard/router_call.h"
#include "shard/user.h"

#include "tests/integration/live.h"

struct fixture {
    struct live live;
    struct router *router;
};

static struct fixture fixture;

/* ---- Help ---- */

/* Runs SQL as root on a shard; returns the first value of the result, or "" (static
 * storage). */
static const char *sql(size_t shard, const char *text)
{
    static char line[256];

    root_sql(shard, text, line, sizeof line);
    return line;
}

/* A router that has asked every shard for its map. */
static struct router *start_router(unsigned pool_size, int connect_timeout_ms)
{
    struct router_server servers[SHARDS_MAX];
    struct router_options options = live_options(&fixture.live, servers, pool_size);

    options.connect_timeout_ms = connect_timeout_ms;
    options.call_timeout_ms = 2000;
    return live_start(&options);
}

static void assert_state(size_t shard, struct router_shard_state *state)
{
    router_shard_state(fixture.router, shard, state);
    assert_int_equal(state->conns_busy, 0);
}

/* ---- Tests ---- */

static void test_discovers_all_slots(void **unused)
{
    (void)unused;
    unsigned slots = 0;

    for (size_t i = 0; i < fixture.live.n_shards; i++) {
        struct router_shard_state state;
        router_shard_state(fixture.router, i, &state);
        assert_true(state.up);
        assert_string_equal(state.name, fixture.live.names[i]);
        slots += state.slots_owned;
    }
    assert_int_equal(slots, SHARED_SLOTS);
}

static void test_register_and_read_back(void **unused)
{
    (void)unused;
    struct work work;
    char name[32];
    uint64_t id = 0, found = 0;
    const char *hash = NULL;

    live_name_on(fixture.router, 0, name, sizeof name);
    assert_int_equal(live_try_register(fixture.router, name, &id), OUTCOME_OK);
    assert_int_equal(id_slot(id), id_name_slot(name, strlen(name)));
    assert_int_equal(live_try_register(fixture.router, name, &found), OUTCOME_TAKEN);

    work_begin(&work, 5000);
    assert_int_equal(user_login(fixture.router, &work.call, name, &found, &hash),
                     OUTCOME_OK);
    assert_true(found == id);
    assert_string_equal(hash, "$test$");
    assert_int_equal(work.call.n_calls, 1);
    assert_int_equal(user_login(fixture.router, &work.call, "nobody", &found, &hash),
                     OUTCOME_NOTFOUND);
    work_end(&work);
}

static void test_cards_of_several_shards_in_order(void **unused)
{
    (void)unused;
    struct work work;
    uint64_t ids[5] = {0};
    struct user_card cards[5];

    for (size_t i = 0; i < 4; i++) {
        ids[i] = live_user(fixture.router, i % fixture.live.n_shards);
    }
    ids[4] = ids[0] + 8192; /* the same slot, an unused id */
    work_begin(&work, 5000);
    assert_int_equal(user_get(fixture.router, &work.call, ids, 5, cards), OUTCOME_OK);
    for (size_t i = 0; i < 4; i++) {
        assert_true(cards[i].id == ids[i]);
    }
    assert_true(cards[4].id == 0);
    /* one CALL per shard, not one per card */
    assert_int_equal(work.call.n_calls, fixture.live.n_shards);
    work_end(&work);
}

static void test_sessions(void **unused)
{
    (void)unused;
    struct work work;
    uint64_t id = live_user(fixture.router, 1 % fixture.live.n_shards);
    struct session_grant grant = {.expires_at_ms = clock_wall_ms() + 60000,
                                  .keep_max = 2};

    rnd_bytes(grant.id, sizeof grant.id);
    work_begin(&work, 5000);
    assert_int_equal(session_check(fixture.router, &work.call, id, grant.id, 1000000),
                     OUTCOME_NOTFOUND);
    assert_int_equal(session_open(fixture.router, &work.call, id, &grant), OUTCOME_OK);
    assert_int_equal(session_open(fixture.router, &work.call, id, &grant), OUTCOME_SAME);
    assert_int_equal(session_check(fixture.router, &work.call, id, grant.id, 1000000),
                     OUTCOME_OK);
    assert_int_equal(work.call.n_session_calls, 2);
    assert_int_equal(work.call.n_calls, 2);
    assert_int_equal(user_logout(fixture.router, &work.call, id, grant.id), OUTCOME_OK);
    assert_int_equal(user_logout(fixture.router, &work.call, id, grant.id), OUTCOME_SAME);
    assert_int_equal(session_check(fixture.router, &work.call, id, grant.id, 1000000),
                     OUTCOME_NOTFOUND);
    work_end(&work);
}

/* The same operation again: the same row; with another file: refused. */
static void test_publish_again(void **unused)
{
    (void)unused;
    struct publish_action_args args = live_video_args(live_user(fixture.router, 0));
    const char *media = NULL;
    struct work work;
    uint64_t video = 0, again = 0;

    work_begin(&work, 5000);
    assert_int_equal(publish_action(fixture.router, &work.call, &args, &video, &media),
                     OUTCOME_OK);
    assert_string_equal(media, args.media);
    assert_int_equal(publish_action(fixture.router, &work.call, &args, &again, &media),
                     OUTCOME_SAME);
    assert_true(again == video);
    args.title = "another title";
    assert_int_equal(publish_action(fixture.router, &work.call, &args, &again, &media),
                     OUTCOME_SAME);
    args.sha256[0] ^= 1;
    assert_int_equal(publish_action(fixture.router, &work.call, &args, &again, &media),
                     OUTCOME_MISMATCH);
    work_end(&work);
}

static void test_publish_list_delete(void **unused)
{
    (void)unused;
    struct work work;
    uint64_t author = live_user(fixture.router, 0);
    uint64_t other = live_user(fixture.router, 0);
    uint64_t videos[3];
    struct video_page page;

    for (size_t i = 0; i < 3; i++) {
        videos[i] = live_video(fixture.router, author);
        assert_int_equal(id_slot(videos[i]), id_slot(author));
    }
    assert_true(videos[0] < videos[1] && videos[1] < videos[2]);
    work_begin(&work, 5000);
    assert_int_equal(publish_list(fixture.router, &work.call, author, 0, 2, &page),
                     OUTCOME_OK);
    assert_int_equal(page.n, 2);
    assert_true(page.videos[0].id == videos[2] && page.videos[1].id == videos[1]);
    assert_true(page.next_cursor == videos[1]);
    assert_int_equal(page.videos[0].author.work_count, 3);
    assert_int_equal(
        publish_list(fixture.router, &work.call, author, videos[1], 2, &page),
        OUTCOME_OK);
    assert_int_equal(page.n, 1);
    assert_true(page.next_cursor == 0);
    assert_int_equal(work.call.n_calls, 2);

    assert_int_equal(publish_delete(fixture.router, &work.call, other, videos[1]),
                     OUTCOME_FORBIDDEN);
    assert_int_equal(publish_delete(fixture.router, &work.call, author, videos[1]),
                     OUTCOME_OK);
    assert_int_equal(publish_delete(fixture.router, &work.call, author, videos[1]),
                     OUTCOME_SAME);
    assert_int_equal(publish_delete(fixture.router, &work.call, author, videos[2] + 8192),
                     OUTCOME_NOTFOUND);
    assert_int_equal(publish_list(fixture.router, &work.call, author, 0, 5, &page),
                     OUTCOME_OK);
    assert_int_equal(page.n, 2);
    assert_int_equal(page.videos[0].author.work_count, 2);
    work_end(&work);
}

/* A page of names on several shards, one of which does not exist. */
static void test_names_of_files(void **unused)
{
    (void)unused;
    struct work work;
    struct media_query queries[OPS_MAX];
    uint64_t video = 0;
    size_t n = 0;

    for (size_t i = 0; i < fixture.live.n_shards; i++) {
        uint64_t author = live_user(fixture.router, i);
        video = live_video(fixture.router, author);
        queries[n++] = (struct media_query){author, "0123456789abcdef", OUTCOME_BUSY};
        queries[n++] = (struct media_query){author, "nothing", OUTCOME_BUSY};
    }
    work_begin(&work, 5000);
    media_find(fixture.router, &work.call, queries, n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(queries[i].outcome, i % 2 == 0 ? OUTCOME_OK : OUTCOME_NOTFOUND);
    }
    assert_int_equal(work.call.n_calls, fixture.live.n_shards);
    work_end(&work);
    work_begin(&work, 5000);
    assert_int_equal(
        publish_delete(fixture.router, &work.call, queries[n - 2].author_id, video),
        OUTCOME_OK);
    media_find(fixture.router, &work.call, &queries[n - 2], 1);
    assert_int_equal(queries[n - 2].outcome, OUTCOME_NOTFOUND);
    work_end(&work);
}

/* One of two gets it, wherever slot 0 is. */
static void test_lease_of_the_search(void **unused)
{
    (void)unused;
    struct work work;
    bool got[3] = {false, true, false};

    work_begin(&work, 5000);
    assert_int_equal(media_lease_take(fixture.router, &work.call, "one", 60000, &got[0]),
                     OUTCOME_OK);
    assert_int_equal(media_lease_take(fixture.router, &work.call, "two", 60000, &got[1]),
                     OUTCOME_OK);
    assert_int_equal(media_lease_take(fixture.router, &work.call, "one", 0, &got[2]),
                     OUTCOME_OK);
    assert_true(got[0] && !got[1] && !got[2]);
    assert_int_equal(media_lease_take(fixture.router, &work.call, "two", 60000, &got[1]),
                     OUTCOME_OK);
    assert_true(got[1]);
    assert_int_equal(media_lease_take(fixture.router, &work.call, "two", 0, &got[1]),
                     OUTCOME_OK);
    work_end(&work);
}

static void test_deleted_files_are_a_job(void **unused)
{
    (void)unused;
    struct work work;
    uint64_t author = live_user(fixture.router, 0);
    uint64_t video = live_video(fixture.router, author);
    struct job_list list = {.n = 0}, again = {.n = 0};
    size_t mine = SIZE_MAX;

    work_begin(&work, 5000);
    assert_int_equal(publish_delete(fixture.router, &work.call, author, video),
                     OUTCOME_OK);
    assert_int_equal(job_claim(fixture.router, &work.call, 0, 100, 60000, &list),
                     OUTCOME_OK);
    for (size_t i = 0; i < list.n; i++) {
        mine = list.jobs[i].target_id == video ? i : mine;
    }
    assert_true(mine != SIZE_MAX);
    /* claimed jobs belong to nobody else until the lease ends */
    assert_int_equal(job_claim(fixture.router, &work.call, 0, 100, 60000, &again),
                     OUTCOME_OK);
    assert_int_equal(again.n, 0);
    struct job stranger = list.jobs[mine];
    const struct job_report done = {.done = true, .error = ""};
    rnd_bytes(stranger.claim, sizeof stranger.claim);
    assert_int_equal(job_finish(fixture.router, &work.call, &stranger, &done),
                     OUTCOME_NOTFOUND);
    for (size_t i = 0; i < list.n; i++) {
        assert_int_equal(job_finish(fixture.router, &work.call, &list.jobs[i], &done),
                         OUTCOME_OK);
    }
    work_end(&work);
}

static void test_feed_covers_all_shards(void **unused)
{
    (void)unused;
    struct work work;
    struct video_page page;
    uint64_t videos[SHARDS_MAX] = {0};
    size_t found = 0;

    for (size_t i = 0; i < fixture.live.n_shards; i++) {
        videos[i] = live_video(fixture.router, live_user(fixture.router, i));
    }
    work_begin(&work, 5000);
    assert_int_equal(feed_list(fixture.router, &work.call, 0, 30, &page), OUTCOME_OK);
    assert_false(page.partial);
    assert_int_equal(work.call.n_calls, fixture.live.n_shards);
    for (size_t i = 0; i < page.n; i++) {
        for (size_t j = 0; j < fixture.live.n_shards; j++) {
            found += page.videos[i].id == videos[j];
        }
        if (i > 0) {
            assert_true(page.videos[i - 1].published_at_ms >=
                        page.videos[i].published_at_ms);
        }
    }
    assert_int_equal(found, fixture.live.n_shards);
    work_end(&work);
}

/* A CALL that waits for a row lock is cut off at the deadline, which is earlier than
 * its own time limit. */
static void test_deadline_is_kept(void **unused)
{
    (void)unused;
    struct work work;
    uint64_t id = live_user(fixture.router, 0);
    char lock[128];

    snprintf(
        lock, sizeof lock,
        "START TRANSACTION; SELECT user_id FROM user WHERE user_id = %llu FOR UPDATE",
        (unsigned long long)id);
    MYSQL *holder = root_connect(0);
    root_run(holder, lock, NULL, 0);
    int64_t start_ms = clock_mono_ms();
    work_begin(&work, 400);
    assert_int_equal(user_rehash(fixture.router, &work.call, id, "$test$", "$new$"),
                     OUTCOME_UNKNOWN);
    int64_t took_ms = clock_mono_ms() - start_ms;
    work_end(&work);
    mysql_close(holder);
    assert_in_range(took_ms, 390, 1900);
}

/* However little memory a request has: what is refused was not done. With too little,
 * the answer, which is longer than the request, cannot be read. */
static void test_large_answer_is_not_a_refusal(void **unused)
{
    (void)unused;
    unsigned n_done = 0, n_unknown = 0;

    for (size_t limit = 512; n_done == 0; limit += 64) {
        struct user_register_args args = {
            .password_hash = "$test$",
            .session = {.expires_at_ms = clock_wall_ms() + 3600000, .keep_max = 8}};
        struct work work;
        char name[32], count[128];
        uint64_t id = 0;

        live_name_on(fixture.router, 0, name, sizeof name);
        args.name = name;
        rnd_bytes(args.op, sizeof args.op);
        rnd_bytes(args.session.id, sizeof args.session.id);
        work_begin(&work, 10000);
        work.arena.limit_bytes = limit;
        enum outcome outcome = user_register(fixture.router, &work.call, &args, &id);
        work_end(&work);
        snprintf(count, sizeof count, "SELECT COUNT(*) FROM user WHERE name = '%s'",
                 name);
        bool is_there = strcmp(sql(0, count), "1") == 0;
        assert_true(is_there || outcome == OUTCOME_NOMEM);
        assert_true(!is_there || outcome == OUTCOME_OK || outcome == OUTCOME_UNKNOWN);
        n_done += outcome == OUTCOME_OK;
        n_unknown += outcome == OUTCOME_UNKNOWN;
    }
    assert_true(n_unknown > 0); /* some were refused, some not */
}

static bool wait_until_up(size_t shard, bool up)
{
    for (int64_t end_ms = clock_mono_ms() + 120000; clock_mono_ms() < end_ms;) {
        struct router_shard_state state;
        router_shard_state(fixture.router, shard, &state);
        if (state.up == up) {
            return true;
        }
        const struct timespec pause = {.tv_nsec = 10000000};
        nanosleep(&pause, NULL);
    }
    return false;
}

/* Freezes a shard until a CALL to it has failed. */
struct frozen {
    struct router *router;
    size_t shard;
    uint64_t n_failed; /* before it was frozen */
    bool was_noticed;
};

static void *thaw_after_failure(void *argument)
{
    struct frozen *frozen = argument;
    int64_t end_ms = clock_mono_ms() + 60000;
    struct router_shard_state state;

    while (!frozen->was_noticed && clock_mono_ms() < end_ms) {
        const struct timespec pause = {.tv_nsec = 5000000};
        nanosleep(&pause, NULL);
        router_shard_state(frozen->router, frozen->shard, &state);
        frozen->was_noticed = state.calls_failed_total > frozen->n_failed;
    }
    (void)kill((pid_t)fixture.live.pids[frozen->shard], SIGCONT);
    return NULL;
}

/* The shard is frozen until the router gives up the first attempt. That one is killed
 * and gone before the write is repeated: one effect. */
static void test_silent_write_is_killed_and_repeated(void **unused)
{
    (void)unused;
    struct work work;
    uint64_t id = live_user(fixture.router, 0);
    /* A new router: its next check of the shard comes after the freeze. The kill may
     * take its time to connect. */
    struct router *router = start_router(4, 30000);
    struct router_shard_state before, after;
    pthread_t thread;

    work_begin(&work, 5000); /* so that the statement is prepared */
    assert_int_equal(user_rehash(router, &work.call, id, "$other$", "$new$"),
                     OUTCOME_CONFLICT);
    work_end(&work);
    router_shard_state(router, 0, &before);
    struct frozen frozen = {
        .router = router, .shard = 0, .n_failed = before.calls_failed_total};
    freeze_process(fixture.live.pids[0]);
    assert_int_equal(pthread_create(&thread, NULL, thaw_after_failure, &frozen), 0);
    work_begin(&work, 60000);
    enum outcome outcome = user_rehash(router, &work.call, id, "$test$", "$new$");
    assert_true(outcome == OUTCOME_OK || outcome == OUTCOME_SAME);
    assert_true(work.call.n_calls >= 2);
    work_end(&work);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(frozen.was_noticed);
    router_shard_state(router, 0, &after);
    router_free(&router);
    assert_true(wait_until_up(0, true)); /* the other router may have noticed, too */
    assert_int_equal(after.replays_total, before.replays_total + 1);
}

/* A routine leaves its transaction open: the connection must not be used again. */
static void test_open_transaction_never_returns_to_the_pool(void **unused)
{
    (void)unused;
    struct work work;
    struct router_shard_state before, after;
    uint64_t id = live_user(fixture.router, 0);
    struct session_grant grant = {.expires_at_ms = clock_wall_ms() + 60000,
                                  .keep_max = 2};

    rnd_bytes(grant.id, sizeof grant.id);
    sql(0, "DROP PROCEDURE user_logout; "
           "CREATE DEFINER = doushard_owner@localhost PROCEDURE user_logout (IN in_ops "
           "JSON) "
           "SQL SECURITY DEFINER MODIFIES SQL DATA COMMENT 'v1: forgets its transaction' "
           "BEGIN "
           "START TRANSACTION; UPDATE shard_self SET installed_at = installed_at + 1; "
           "SELECT 1 AS n, 'ok' AS code, 0 AS slot, 1 AS epoch, 'x' AS server; END; "
           "GRANT EXECUTE ON PROCEDURE user_logout TO doushard_app");
    assert_state(0, &before);
    work_begin(&work, 5000);
    assert_int_equal(user_logout(fixture.router, &work.call, id, grant.id), OUTCOME_OK);
    assert_state(0, &after);
    assert_int_equal(after.conns_dirty_total, before.conns_dirty_total + 1);
    assert_int_equal(after.conns_open, before.conns_open - 1);
    /* its uncommitted change is gone, too: the row is not locked */
    sql(0, "SET innodb_lock_wait_timeout = 5; UPDATE shard_self SET installed_at = "
           "installed_at");
    work_end(&work);
}

#define CALLERS 64

struct crowd {
    struct router *router;
    uint64_t id;
    atomic_uint ok;
    atomic_uint most_open;
};

static void *one_of_the_crowd(void *argument)
{
    struct crowd *crowd = argument;

    for (int i = 0; i < 5; i++) {
        struct work work;
        struct user_card card;
        struct router_shard_state state;
        work_begin(&work, 20000);
        if (user_get(crowd->router, &work.call, &crowd->id, 1, &card) == OUTCOME_OK &&
            card.id == crowd->id) {
            atomic_fetch_add(&crowd->ok, 1);
        }
        router_shard_state(crowd->router, 0, &state);
        unsigned most = atomic_load(&crowd->most_open);
        while (
            state.conns_open > most &&
            !atomic_compare_exchange_weak(&crowd->most_open, &most, state.conns_open)) {
        }
        work_end(&work);
    }
    return NULL;
}

static void test_pool_is_bounded_and_fair(void **unused)
{
    (void)unused;
    /* CALLs that begin in one slot get at most three quarters of a queue. */
    _Static_assert(CALLERS <= LIVE_WAITERS * 3 / 4, "all callers may wait");
    struct crowd crowd = {.router = live_router(&fixture.live, 2)};
    pthread_t threads[CALLERS];

    crowd.id = live_user(crowd.router, 0);
    for (size_t i = 0; i < CALLERS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, one_of_the_crowd, &crowd), 0);
    }
    for (size_t i = 0; i < CALLERS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(atomic_load(&crowd.ok), CALLERS * 5);
    assert_in_range(atomic_load(&crowd.most_open), 1, 2);
    router_free(&crowd.router);
}

/* Waits until the shard's state is UP; false after two minutes. */
static void test_frozen_shard_fails_fast_and_alone(void **unused)
{
    (void)unused;
    struct work work;
    struct user_card card;
    size_t frozen = fixture.live.n_shards - 1;
    uint64_t on_frozen = live_user(fixture.router, frozen);
    uint64_t elsewhere = live_user(fixture.router, 0);

    freeze_process(fixture.live.pids[frozen]);
    int64_t start_ms = clock_mono_ms();
    for (int i = 0; i < 4; i++) {
        work_begin(&work, 600);
        enum outcome outcome = user_get(fixture.router, &work.call, &on_frozen, 1, &card);
        assert_true(outcome == OUTCOME_TIMEOUT || outcome == OUTCOME_UNAVAILABLE);
        work_end(&work);
    }
    assert_true(clock_mono_ms() - start_ms < 7000); /* not 2 s each */
    assert_true(wait_until_up(frozen, false));
    start_ms = clock_mono_ms();
    work_begin(&work, 5000);
    assert_int_equal(user_get(fixture.router, &work.call, &on_frozen, 1, &card),
                     OUTCOME_UNAVAILABLE);
    /* refused at once, without connecting */
    assert_true(clock_mono_ms() - start_ms < 1900);
    assert_int_equal(user_get(fixture.router, &work.call, &elsewhere, 1, &card),
                     OUTCOME_OK);
    struct video_page page;
    assert_int_equal(feed_list(fixture.router, &work.call, 0, 30, &page), OUTCOME_OK);
    assert_true(page.partial);
    work_end(&work);

    assert_int_equal(kill((pid_t)fixture.live.pids[frozen], SIGCONT), 0);
    assert_true(wait_until_up(frozen, true));
    work_begin(&work, 5000);
    assert_int_equal(user_get(fixture.router, &work.call, &on_frozen, 1, &card),
                     OUTCOME_OK);
    work_end(&work);
}

/* ---- Two owners ---- */

PRINTF_LIKE(2, 3) static const char *sql_of(size_t shard, const char *fmt, ...)
{
    char text[512];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return sql(shard, text);
}

/* The fence of SLOT on SHARD: epoch, highest epoch heard, answer. */
static const char *fence_of(size_t shard, unsigned slot)
{
    return sql_of(shard,
                  "SELECT CONCAT_WS(' ', epoch, heard_epoch, answer) FROM slot_fence "
                  "WHERE slot = %u",
                  slot);
}

/* Has SHARD checked once more; false: that was tried for long enough since SINCE_MS. */
static bool look_again(size_t shard, int64_t since_ms)
{
    const struct timespec pause = {.tv_nsec = 10000000};

    router_look_again(fixture.router, shard);
    nanosleep(&pause, NULL);
    return clock_mono_ms() - since_ms < 30000;
}

/* Has SHARD checked until its fence of SLOT is WANTED. */
static void await_fence(size_t shard, unsigned slot, const char *wanted)
{
    int64_t start_ms = clock_mono_ms();

    while (strcmp(fence_of(shard, slot), wanted) != 0 && look_again(shard, start_ms)) {
    }
    assert_string_equal(fence_of(shard, slot), wanted);
}

/* Has SHARD checked until N slots are in dispute, which DISPUTE then names. */
static void await_disputes(size_t shard, unsigned n, struct router_dispute *dispute)
{
    int64_t start_ms = clock_mono_ms();

    while (router_disputes(fixture.router, 0, dispute, 1) != n &&
           look_again(shard, start_ms)) {
    }
    assert_int_equal(router_disputes(fixture.router, 0, dispute, 1), n);
}

static enum outcome read_user(uint64_t id)
{
    struct work work;
    struct user_card card;

    work_begin(&work, 5000);
    enum outcome outcome = user_get(fixture.router, &work.call, &id, 1, &card);
    work_end(&work);
    return outcome;
}

/* A rumour about a slot stops nothing, and is reported. */
static void test_hearsay_stops_nothing(void **unused)
{
    (void)unused;
    uint64_t id = live_user(fixture.router, 0);
    unsigned slot = id_slot(id);
    struct router_shard_state state = {.n_hearsay = 0};
    struct router_dispute dispute = {.slot = 0};
    char text[64];

    sql_of(1, "UPDATE slot_known SET server = 'elsewhere' WHERE slot = %u", slot);
    int64_t start_ms = clock_mono_ms();
    while (state.n_hearsay == 0 && look_again(1, start_ms)) {
        router_shard_state(fixture.router, 1, &state);
    }
    assert_int_equal(state.n_hearsay, 1);
    (void)snprintf(text, sizeof text, "slot %u is on elsewhere at epoch 1", slot);
    assert_string_equal(state.hearsay, text);
    await_disputes(0, 0, &dispute);
    assert_true(router_is_ready(fixture.router));
    assert_int_equal(read_user(id), OUTCOME_OK);
    assert_string_equal(fence_of(0, slot), "1 0 ok");
    sql_of(1, "UPDATE slot_known SET server = 'shard1' WHERE slot = %u", slot);
}

/* Two fences claim a slot: neither serves it to anybody until one is raised. */
static void test_two_claims_stop_the_slot(void **unused)
{
    (void)unused;
    uint64_t id = live_user(fixture.router, 0);
    unsigned slot = id_slot(id);
    struct router_dispute dispute = {.slot = 0};

    sql_of(1,
           "UPDATE slot_fence SET state = 'owned', server = 'shard2' WHERE slot = %u; "
           "CALL _slot_changed()",
           slot);
    await_disputes(1, 1, &dispute);
    assert_int_equal(dispute.slot, slot);
    assert_int_equal(dispute.epoch, 1);
    assert_string_equal(dispute.servers[0], fixture.live.names[0]);
    assert_string_equal(dispute.servers[1], fixture.live.names[1]);
    assert_false(router_is_ready(fixture.router));
    assert_int_equal(read_user(id), OUTCOME_UNAVAILABLE);
    assert_int_equal(router_slot_shard(fixture.router, slot), fixture.live.n_shards);
    await_fence(0, slot, "1 1 moved");
    await_fence(1, slot, "1 1 moved");
    assert_int_equal(read_user(live_user(fixture.router, 1)), OUTCOME_OK);

    /* A process that starts now knows it as well. */
    struct router *other = start_router(2, 1000);
    assert_false(router_is_ready(other));
    assert_int_equal(router_disputes(other, 0, &dispute, 1), 1);
    router_free(&other);

    sql_of(0, "CALL slot_settle(%u, 'shard1')", slot);
    await_disputes(0, 0, &dispute);
    assert_true(router_is_ready(fixture.router));
    assert_int_equal(read_user(id), OUTCOME_OK);
    assert_string_equal(fence_of(0, slot), "2 1 ok");
    await_fence(1, slot, "1 2 moved");
    sql_of(1,
           "UPDATE slot_fence SET state = 'moved', server = 'shard1', epoch = 2 "
           "WHERE slot = %u; CALL _slot_changed()",
           slot);
}

static void test_wrong_shard_is_refused(void **unused)
{
    (void)unused;
    char kept[32];
    struct router_shard_state state;

    memcpy(kept, fixture.live.names[0], sizeof kept);
    snprintf(fixture.live.names[0], sizeof fixture.live.names[0], "impostor");
    struct router_server servers[SHARDS_MAX];
    const struct router_options options = live_options(&fixture.live, servers, 2);
    struct router *router = router_new(&options);
    router_discover(router, clock_mono_ms() + 5000);
    assert_false(router_is_ready(router));
    router_shard_state(router, 0, &state);
    assert_false(state.up);
    assert_non_null(strstr(state.reason.text, "calls itself"));
    router_free(&router);
    memcpy(fixture.live.names[0], kept, sizeof kept);
}

static int set_up(void **unused)
{
    (void)unused;
    if (!live_init(&fixture.live)) {
        return -1;
    }
    fixture.router = start_router(8, 1000);
    assert_true(router_is_ready(fixture.router));
    return 0;
}

static int tear_down(void **unused)
{
    (void)unused;
    router_free(&fixture.router);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_discovers_all_slots),
        cmocka_unit_test(test_register_and_read_back),
        cmocka_unit_test(test_cards_of_several_shards_in_order),
        cmocka_unit_test(test_sessions),
        cmocka_unit_test(test_publish_again),
        cmocka_unit_test(test_publish_list_delete),
        cmocka_unit_test(test_names_of_files),
        cmocka_unit_test(test_lease_of_the_search),
        cmocka_unit_test(test_deleted_files_are_a_job),
        cmocka_unit_test(test_feed_covers_all_shards),
        cmocka_unit_test(test_deadline_is_kept),
        cmocka_unit_test(test_large_answer_is_not_a_refusal),
        cmocka_unit_test(test_silent_write_is_killed_and_repeated),
        cmocka_unit_test(test_pool_is_bounded_and_fair),
        cmocka_unit_test(test_frozen_shard_fails_fast_and_alone),
        cmocka_unit_test(test_hearsay_stops_nothing),
        cmocka_unit_test(test_two_claims_stop_the_slot),
        cmocka_unit_test(test_wrong_shard_is_refused),
        cmocka_unit_test(test_open_transaction_never_returns_to_the_pool),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
