/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What the tests of edges share: the fixture, short forms of calls, a shard that
 * freezes. */
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

/* ---- Help ---- */

static inline void pause_ms(long ms)
{
    const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000};

    nanosleep(&pause, NULL);
}

/* The longest wait for something that must happen: longer than anything is ever put
 * off, on any machine. */
#define PATIENCE_MS 120000

/* Checks again and again until CONDITION is true. */
#define WAIT_FOR(condition)                                                              \
    do {                                                                                 \
        int64_t end_ms_ = clock_mono_ms() + PATIENCE_MS;                                 \
        while (!(condition)) {                                                           \
            assert_true(clock_mono_ms() < end_ms_);                                      \
            pause_ms(20);                                                                \
        }                                                                                \
    } while (0)

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
    assert_true(clock_mono_ms() - start_ms < PATIENCE_MS / 4);
}

static inline long long outbox_rows(void)
{
    long long n = 0;

    for (size_t i = 0; i < fixture.live.n_shards; i++) {
        n += root_number(i, "SELECT COUNT(*) FROM outbox");
    }
    return n;
}

/* Waits until the outbox of every shard is empty. */
static inline void settle(void)
{
    WAIT_FOR(outbox_rows() == 0);
}

/* The number that a formatted query returns on a shard. */
PRINTF_LIKE(2, 3) static inline long long count_where(size_t shard, const char *fmt, ...)
{
    char text[512];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return root_number(shard, text);
}

/* The state of a like. */
#define LIKE_MS 10000

static inline enum outcome like(uint64_t user, uint64_t video, bool likes)
{
    struct work work;

    work_begin(&work, LIKE_MS);
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

/* A shard that is frozen for a while. */
static inline void freeze(size_t shard)
{
    freeze_process(fixture.live.pids[shard]);
}

static inline bool is_up(size_t shard)
{
    struct router_shard_state state;

    router_shard_state(fixture.router, shard, &state);
    return state.up;
}

static inline void thaw(size_t shard)
{
    assert_int_equal(kill((pid_t)fixture.live.pids[shard], SIGCONT), 0);
    WAIT_FOR(is_up(shard));
}

static inline void send_message(uint64_t from, uint64_t to, const char *text)
{
    struct work work;
    struct message_action_args args = {.user_id = from, .peer_id = to, .text = text};

    rnd_bytes(args.op, sizeof args.op);
    work_begin(&work, 10000);
    assert_int_equal(message_action(fixture.delivery, &work.call, &args, NULL),
                     OUTCOME_OK);
    work_end(&work);
}

static inline void assert_mailbox(uint64_t owner, uint64_t peer, size_t n)
{
    struct work work;
    struct message_page page;
    struct message_range range = {.backwards = true, .limit = 100};
    char expected[32];

    work_begin(&work, 5000);
    assert_int_equal(message_chat(fixture.router, &work.call, owner, peer, &range, &page),
                     OUTCOME_OK);
    assert_int_equal(page.n, n);
    for (size_t i = 0; i < n; i++) {
        snprintf(expected, sizeof expected, "message %zu", i);
        assert_string_equal(page.messages[i].text, expected);
        assert_true(i == 0 || page.messages[i].at_ms > page.messages[i - 1].at_ms);
    }
    if (n > 2) { /* polling: only what is newer */
        range.backwards = false;
        range.from_ms = page.messages[n - 2].at_ms;
        assert_int_equal(
            message_chat(fixture.router, &work.call, owner, peer, &range, &page),
            OUTCOME_OK);
        assert_true(page.n == 1 && page.next_ms == 0);
    }
    work_end(&work);
}

/* The first half alone, as if the process had died right after it. */
static inline void first_half(enum proc_id proc, uint64_t actor, uint64_t target,
                              size_t i)
{
    struct work work;
    struct router_answer answer;
    struct ops *ops = ops_new();
    unsigned char op[OP_BYTES];
    char text[32];

    work_begin(&work, 10000);
    ops_add_owner(ops, actor);
    if (proc == PROC_MESSAGE_ACTION) {
        snprintf(text, sizeof text, "message %zu", i);
        rnd_bytes(op, sizeof op);
        ops_number(ops, "peer", (int64_t)target);
        ops_hex(ops, "op", op, sizeof op);
        ops_text(ops, "text", text);
    } else {
        ops_number(ops, "target", (int64_t)target);
        ops_number(ops, "state", 1);
    }
    router_batch(fixture.router, &work.call, proc, ops, &answer);
    ops_free(&ops);
    assert_int_equal(answer.outcome, OUTCOME_OK);
    work_end(&work);
}

/* Runs last: every counter on every shard equals its rows, both halves match, the
 * outboxes are empty. */
static inline void test_all_agrees_in_the_end(void **unused)
{
    (void)unused;
    static const char *const sums[][2] = {
        {"SELECT COALESCE(SUM(CRC32(CONCAT_WS(':', user_id, followed_id, ver))), 0) FROM "
         "follow WHERE state = 1",
         "SELECT COALESCE(SUM(CRC32(CONCAT_WS(':', follower_id, user_id, ver))), 0) FROM "
         "follower WHERE state = 1"},
        {"SELECT COALESCE(SUM(CRC32(CONCAT_WS(':', user_id, peer_id, seq, text))), 0) "
         "FROM message WHERE sent = 1 AND state = 1 AND text <> 'bye bye'",
         "SELECT COALESCE(SUM(CRC32(CONCAT_WS(':', peer_id, user_id, seq, text))), 0) "
         "FROM message WHERE sent = 0 AND state = 1"},
    };

    settle();
    for (size_t i = 0; i < fixture.live.n_shards; i++) {
        assert_int_equal(
            root_number(i,
                        "SELECT COUNT(*) FROM user AS u JOIN inbound AS i USING (slot, "
                        "user_id) WHERE u.follow_count <> "
                        "(SELECT COUNT(*) FROM follow AS f WHERE f.slot = u.slot AND "
                        "f.user_id = u.user_id AND f.state = 1) OR i.follower_count "
                        "<> (SELECT COUNT(*) FROM follower AS f WHERE f.slot = u.slot "
                        "AND f.user_id = u.user_id AND f.state = 1) OR "
                        "u.favorite_count <> (SELECT COUNT(*) FROM favorite AS f "
                        "WHERE f.slot = u.slot AND f.user_id = u.user_id AND f.state "
                        "= 1)"),
            0);
        assert_int_equal(
            root_number(i, "SELECT COUNT(*) FROM video AS v WHERE v.state = 'live' AND "
                           "(v.favorite_count <> (SELECT COUNT(*) FROM liker AS l WHERE "
                           "l.slot = v.slot AND l.video_id = v.video_id AND l.state = 1) "
                           "OR v.comment_count <> (SELECT COUNT(*) FROM comment AS c "
                           "WHERE c.slot = v.slot AND c.video_id = v.video_id AND "
                           "c.state = 'live'))"),
            0);
    }
    for (size_t k = 0; k < ARRAY_LEN(sums); k++) {
        long long forward = 0, backward = 0;
        for (size_t i = 0; i < fixture.live.n_shards; i++) {
            forward += root_number(i, sums[k][0]);
            backward += root_number(i, sums[k][1]);
        }
        assert_int_equal(forward, backward);
    }
}

static inline int set_up(void **unused)
{
    (void)unused;
    if (!live_init(&fixture.live)) {
        return -1;
    }
    fixture.router = live_router(&fixture.live, 8);
    fixture.delivery = delivery_new(fixture.router, 1000);
    relay_on();
    return fixture.delivery == NULL ? -1 : 0;
}

static inline int tear_down(void **unused)
{
    (void)unused;
    relay_off();
    delivery_free(&fixture.delivery);
    router_free(&fixture.router);
    return 0;
}

#endif
