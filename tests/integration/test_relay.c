/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Second halves that were not made at once, on real shards: the relay, and the queue
 * of outbox rows to remove; relay.test.js starts the shards. TEST_FILTER: only tests
 * whose names match the pattern. */
#include "shard/job.h"
#include "shard/repair.h"

#include "tests/integration/edges.h"

static struct relay_state relay_state_of(size_t shard)
{
    struct relay_state state;

    relay_state(fixture.relay, shard, &state);
    return state;
}

static void test_relay_delivers_what_was_left(void **unused)
{
    (void)unused;
    size_t frozen = fixture.live.n_shards - 1;
    uint64_t me = live_user(fixture.router, 0);
    uint64_t author = live_user(fixture.router, frozen);
    uint64_t video = live_video(fixture.router, author);
    uint64_t gone = live_video(fixture.router, author);
    uint64_t near = live_video(fixture.router, live_user(fixture.router, 0));
    struct relay_state before;

    settle();
    freeze(frozen);
    int64_t start_ms = clock_mono_ms();
    /* stored, and answered in time */
    assert_int_equal(like(me, video, true), OUTCOME_OK);
    assert_true(clock_mono_ms() - start_ms < LIKE_MS); /* not only at the deadline */
    assert_int_equal(like(me, gone + 8192, true), OUTCOME_OK); /* nobody can know yet */
    assert_int_equal(like(me, near, true), OUTCOME_OK);
    assert_int_equal(likes_of(near), 1);
    assert_int_equal(card_of(me).favorite_count, 3);
    relay_state(fixture.relay, 0, &before);
    WAIT_FOR(relay_state_of(0).oldest_ms > 0); /* it has noticed waiting rows */
    thaw(frozen);
    settle();
    /* The count follows after the rows are gone. */
    WAIT_FOR(relay_state_of(0).delivered_total > before.delivered_total);
    WAIT_FOR(relay_state_of(0).undone_total > before.undone_total);
    assert_int_equal(relay_state_of(0).parked_total, 0);
    assert_int_equal(likes_of(video), 1);
    assert_int_equal(card_of(me).favorite_count, 2);
    assert_int_equal(card_of(author).total_favorited, 1);
}

#define MESSAGES 12

static void test_messages_in_order(void **unused)
{
    (void)unused;
    size_t frozen = fixture.live.n_shards - 1;
    uint64_t me = live_user(fixture.router, 0);
    uint64_t peer = live_user(fixture.router, frozen);
    struct work work;
    char text[32];

    settle();
    for (size_t i = 0; i < MESSAGES; i++) {
        if (i == 4) {
            freeze(frozen);
        }
        snprintf(text, sizeof text, "message %zu", i);
        send_message(me, peer, text);
    }
    assert_mailbox(me, peer, MESSAGES);
    thaw(frozen);
    settle();
    assert_mailbox(peer, me, MESSAGES);

    /* sent but not received; the same op is the same message; two CALLs */
    struct message_page page;
    const struct message_range received = {.limit = 10, .received_only = true};
    struct message_action_args args = {
        .user_id = peer, .peer_id = me, .text = "message 12"};
    uint64_t first = 0, again = 0;
    rnd_bytes(args.op, sizeof args.op);
    work_begin(&work, 10000);
    assert_int_equal(message_chat(fixture.router, &work.call, me, peer, &received, &page),
                     OUTCOME_OK);
    assert_int_equal(page.n, 0);
    work.call.n_calls = 0;
    assert_int_equal(message_action(fixture.delivery, &work.call, &args, &first),
                     OUTCOME_OK);
    assert_int_equal(work.call.n_calls, 2);
    assert_int_equal(message_action(fixture.delivery, &work.call, &args, &again),
                     OUTCOME_SAME);
    assert_true(first == again && first != 0);
    args.text = "something else";
    assert_int_equal(message_action(fixture.delivery, &work.call, &args, &again),
                     OUTCOME_SAME);
    assert_true(first == again);
    args.peer_id = live_user(fixture.router, 0);
    assert_int_equal(message_action(fixture.delivery, &work.call, &args, &again),
                     OUTCOME_MISMATCH);
    assert_int_equal(message_chat(fixture.router, &work.call, me, peer, &received, &page),
                     OUTCOME_OK);
    assert_int_equal(page.n, 1);
    assert_true(page.messages[0].from_user_id == peer &&
                page.messages[0].to_user_id == me);
    work_end(&work);
    assert_mailbox(me, peer, MESSAGES + 1);
    assert_mailbox(peer, me, MESSAGES + 1);
}

/* Two relays on the same rows at the same time, since their leases expire at once. */
static void test_two_relays_do_no_harm(void **unused)
{
    (void)unused;
    const struct relay_options eager = {.poll_ms = 2, .older_ms = 0, .lease_ms = 1};
    struct relay *second = relay_new(fixture.router, &eager);
    struct relay *third = relay_new(fixture.router, &eager);
    size_t n_shards = fixture.live.n_shards;
    uint64_t users[8];
    uint64_t video = live_video(fixture.router, live_user(fixture.router, n_shards - 1));

    assert_non_null(second);
    assert_non_null(third);
    for (size_t i = 0; i < 8; i++) {
        users[i] = live_user(fixture.router, i % n_shards);
        first_half(PROC_FAVORITE_ACTION, users[i], video, 0);
    }
    for (size_t i = 0; i < 8; i++) {
        first_half(PROC_RELATION_ACTION, users[i], users[(i + 1) % 8], 0);
        first_half(PROC_RELATION_ACTION, users[i], users[(i + 2) % 8], 0);
        first_half(PROC_MESSAGE_ACTION, users[0], users[1], i);
    }
    settle();
    relay_free(&second);
    relay_free(&third);
    assert_int_equal(likes_of(video), 8);
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(card_of(users[i]).follower_count, 2);
        assert_int_equal(card_of(users[i]).follow_count, 2);
    }
    assert_mailbox(users[1], users[0], 8);
    assert_null(second);
}

/* A row that no shard can process fails alone, and is parked in the end. */
static void test_bad_row_harms_only_itself(void **unused)
{
    (void)unused;
    uint64_t me = live_user(fixture.router, 0);
    uint64_t slot = id_slot(me);
    uint64_t others[4];
    const char *const tried = "SELECT COALESCE(MAX(attempts + parked), 0) FROM outbox "
                              "WHERE actor_id = %" PRIu64;
    char text[512];

    settle();
    relay_off();
    for (size_t i = 0; i < 4; i++) {
        others[i] = live_user(fixture.router, i % fixture.live.n_shards);
        first_half(PROC_RELATION_ACTION, me, others[i], 0);
    }
    snprintf(text, sizeof text,
             "INSERT INTO follow (slot, user_id, followed_id, state, ver, at) VALUES "
             "(%" PRIu64 ", %" PRIu64 ", %" PRIu64 ", 1, 900, 1); INSERT INTO outbox "
             "(slot, actor_id, kind, target_id, seq, ver, at, due_at, attempts) VALUES "
             "(%" PRIu64 ", %" PRIu64 ", 'follow', %" PRIu64 ", 0, 900, 1, 1, 19)",
             slot, me, me, slot, me, me);
    root_number(0, text); /* a user who follows himself: no procedure allows that */
    relay_on();
    WAIT_FOR(outbox_rows() == 1 && count_where(0, tried, me) == 21);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(card_of(others[i]).follower_count, 1);
    }
    WAIT_FOR(relay_state_of(0).failed_total == 1); /* counted after it is written */
    assert_int_equal(relay_state_of(0).parked_total, 1);
    snprintf(text, sizeof text,
             "DELETE FROM outbox WHERE actor_id = %" PRIu64 "; DELETE FROM follow WHERE "
             "user_id = %" PRIu64 " AND followed_id = %" PRIu64,
             me, me, me);
    root_number(0, text);
}

/* A chat that fell behind catches up while it goes on: its last message arrives at
 * once. */
static void test_a_busy_chat_catches_up(void **unused)
{
    (void)unused;
    size_t there = fixture.live.n_shards - 1;
    uint64_t me = live_user(fixture.router, 0);
    uint64_t peer = live_user(fixture.router, there);
    const struct relay_options options = relay_defaults();
    const char *const received = "SELECT COUNT(*) FROM message WHERE user_id = %" PRIu64;
    long long sent = 1;

    settle();
    relay_off();
    fixture.relay = relay_new(fixture.router, &options);
    assert_non_null(fixture.relay);
    first_half(PROC_MESSAGE_ACTION, me, peer, 0);
    WAIT_FOR((send_message(me, peer, "and another one"), sent++,
              count_where(there, received, peer) == sent));
    send_message(me, peer, "the last one");
    assert_int_equal(count_where(there, received, peer), sent + 1);
    settle();
    relay_off();
    relay_on();
}

/* Rows that wait for a dead shard; -DCROWD=1000000 gives the figure in
 * shard/README.md. */
#ifndef CROWD
#define CROWD 20000
#endif
#define PROBES       20
#define PROBE_MS     100
#define MAY_DELAY_MS 2000

/* Looks for the rows of a shard that is down: the shortest pause between two of them,
 * and the number of looks without a pause: the one under way when it goes down, and
 * the first one after that. */
#define PAUSE_MIN_MS  2500
#define LOOKS_AT_ONCE 2

/* Long enough that the thread for a dead shard does not wait for its lease meanwhile. */
#define LEASE_MS 600000

/* Ids of one slot with this distance are a millisecond apart. */
#define ID_PER_MS 8192

/* The longest time that one of PROBES rows between two live shards takes when each one
 * is left to the relay. */
static int64_t slowest_probe(uint64_t from, const uint64_t *to)
{
    int64_t start_ms[PROBES], slowest_ms = 0;
    size_t n_sent = 0, n_seen = 0;
    int64_t begin_ms = clock_mono_ms();

    while (n_seen < PROBES) {
        assert_true(clock_mono_ms() - begin_ms < PATIENCE_MS);
        if (n_sent < PROBES && clock_mono_ms() - begin_ms >= (int64_t)n_sent * PROBE_MS) {
            start_ms[n_sent] = clock_mono_ms();
            first_half(PROC_RELATION_ACTION, from, to[n_sent++], 0);
        }
        if (n_seen < n_sent && card_of(to[n_seen]).follower_count == 1) {
            int64_t took_ms = clock_mono_ms() - start_ms[n_seen++];
            slowest_ms = took_ms > slowest_ms ? took_ms : slowest_ms;
        }
    }
    return slowest_ms;
}

static long crowd_size(void)
{
    const char *text = getenv("CROWD"); // NOLINT(concurrency-mt-unsafe)

    return text == NULL ? CROWD : strtol(text, NULL, 10);
}

/* CROWD users without rows of their own follow one user, who has not been told. Their
 * ids are a day old: no user made by the tests has one of these. */
static void plant_crowd(uint64_t slot, uint64_t like, uint64_t followed, long n)
{
    const uint64_t first = like - UINT64_C(86400000) * ID_PER_MS;
    char text[1024];

    snprintf(
        text, sizeof text,
        "INSERT INTO follow (slot, user_id, followed_id, state, ver, at) SELECT "
        "%" PRIu64 ", %" PRIu64 " + seq * %d, %" PRIu64 ", 1, 1, 1 FROM "
        "seq_1_to_%ld; INSERT INTO outbox (slot, actor_id, kind, target_id, ver, at, "
        "due_at) SELECT slot, user_id, 'follow', followed_id, ver, _now_ms(), 1 FROM "
        "follow WHERE followed_id = %" PRIu64,
        slot, first, ID_PER_MS, followed, n, followed);
    root_number(0, text);
}

/* Waits until the outboxes are empty, for as long as they get emptier. */
static void drain(void)
{
    for (long long left = outbox_rows(); left > 0;) {
        long long before = left;
        WAIT_FOR((left = outbox_rows()) < before);
    }
}

/* Whether ROUTER no longer tries to write there. */
static bool is_given_up(struct router *router, size_t shard)
{
    struct router_shard_state state;

    router_shard_state(router, shard, &state);
    return !state.up || !state.writable;
}

/* Clears the log of statements of SHARD and logs them from now on. */
static void log_on(size_t shard)
{
    root_number(shard, "SET GLOBAL log_output = 'TABLE', GLOBAL general_log = 1; "
                       "TRUNCATE mysql.general_log");
}

/* Another relay, whose CALLs are in the log of SHARD: with a router of its own, since
 * statements prepared before the log was on are logged without their arguments. */
static struct router *watch_relay(size_t shard, const struct relay_options *options)
{
    relay_off();
    log_on(shard);
    struct router *router = live_router(&fixture.live, 8);
    fixture.relay = relay_new(router, options);
    assert_non_null(fixture.relay);
    return router;
}

static void watch_end(size_t shard, struct router *router)
{
    root_number(shard, "SET GLOBAL general_log = 0");
    relay_off();
    router_free(&router);
    relay_on();
}

/* How often the relay has looked for rows of SLOT since log_on(). */
static long long looks_for(size_t shard, uint64_t slot)
{
    return count_where(shard,
                       "SELECT COUNT(*) FROM mysql.general_log WHERE argument LIKE 'CALL "
                       "outbox_list(%%' AND argument REGEXP '[[,]%" PRIu64 "[],]'",
                       slot);
}

/* Very many rows for a shard that does not answer do not delay the others, and are
 * delivered when it is back. */
static void test_a_dead_shard_delays_only_its_own(void **unused)
{
    (void)unused;
    size_t frozen = fixture.live.n_shards - 1;
    uint64_t me = live_user(fixture.router, 0);
    uint64_t there = live_user(fixture.router, frozen);
    uint64_t near[2 * PROBES];
    struct relay_options options = relay_defaults();
    long n = crowd_size();

    options.lease_ms = LEASE_MS;
    for (size_t i = 0; i < ARRAY_LEN(near); i++) {
        near[i] = live_user(fixture.router, 0);
    }
    settle();
    struct router *router = watch_relay(0, &options);
    int64_t alone_ms = slowest_probe(me, near);
    freeze(frozen);
    plant_crowd(id_slot(me), me, there, n);
    WAIT_FOR(is_given_up(router, frozen));
    int64_t down_ms = clock_mono_ms();
    log_on(0);
    int64_t beside_ms = slowest_probe(me, near + PROBES);
    assert_true(root_number(0, "SELECT COUNT(*) FROM outbox") >= n);
    assert_in_range(looks_for(0, id_slot(there)), 0,
                    LOOKS_AT_ONCE + (clock_mono_ms() - down_ms) / PAUSE_MIN_MS);
    assert_true(looks_for(0, id_slot(me)) >= 1);
    int64_t start_ms = clock_mono_ms();
    thaw(frozen);
    drain();
    print_message("%ld rows waited for a dead shard: the slowest of %d others took %lld "
                  "ms, %lld ms without them; drained in %lld ms\n",
                  n, PROBES, (long long)beside_ms, (long long)alone_ms,
                  (long long)(clock_mono_ms() - start_ms));
    assert_true(beside_ms <= alone_ms + MAY_DELAY_MS);
    assert_int_equal(card_of(there).follower_count, n);
    watch_end(0, router);
}

/* Two users in neighbouring slots, on SHARD. */
static void make_neighbours(size_t shard, uint64_t *first, uint64_t *second)
{
    struct router *router = fixture.router;

    do {
        *first = live_user(router, shard);
    } while (router_slot_shard(router, id_slot(*first) + 1) != shard);
    *second = live_user_in(router, id_slot(*first) + 1);
    assert_int_equal(id_slot(*second), id_slot(*first) + 1);
}

/* Rows for one user: enough for this many full looks. */
#define CROWD_LOOKS 10L

/* Very many rows for one slot do not delay those for the next slot. */
static void test_a_crowd_delays_no_other_slot(void **unused)
{
    (void)unused;
    size_t there = fixture.live.n_shards - 1;
    uint64_t me = live_user(fixture.router, 0);
    const struct relay_options options = {.poll_ms = 50, .older_ms = 0, .lease_ms = 2000};
    uint64_t popular, next;

    make_neighbours(there, &popular, &next);
    settle();
    relay_off();
    plant_crowd(id_slot(me), me, popular, CROWD_LOOKS * OPS_MAX);
    first_half(PROC_RELATION_ACTION, me, next, 0);
    struct router *router = watch_relay(there, &options);
    settle();
    assert_int_equal(card_of(next).follower_count, 1);
    assert_int_equal(card_of(popular).follower_count, CROWD_LOOKS * OPS_MAX);
    /* most of the crowd was delivered after it */
    assert_true(count_where(there,
                            "SELECT COUNT(*) FROM mysql.general_log WHERE argument LIKE "
                            "'CALL relation_deliver(%%%" PRIu64
                            "%%' AND event_time > (SELECT MIN(event_time) FROM "
                            "mysql.general_log WHERE argument LIKE 'CALL "
                            "relation_deliver(%%%" PRIu64 "%%')",
                            popular, next) >= CROWD_LOOKS / 2);
    watch_end(there, router);
}

/* Messages after a parked one wait without failing, and follow it when an operator
 * retries it. */
static void test_parked_message_is_let_go(void **unused)
{
    (void)unused;
    uint64_t me = live_user(fixture.router, 0);
    uint64_t peer = live_user(fixture.router, fixture.live.n_shards - 1);
    char text[256];

    settle();
    relay_off();
    for (unsigned i = 0; i < 3; i++) {
        snprintf(text, sizeof text, "message %u", i);
        first_half(PROC_MESSAGE_ACTION, me, peer, i);
    }
    snprintf(text, sizeof text,
             "UPDATE outbox SET parked = 1, attempts = 20 WHERE actor_id = %" PRIu64
             " AND seq = 1",
             me);
    root_number(0, text);
    first_half(PROC_RELATION_ACTION, me, peer, 0);
    relay_on();
    WAIT_FOR(outbox_rows() == 3 && relay_state_of(0).delivered_total == 1);
    assert_int_equal(relay_state_of(0).put_off_total + relay_state_of(0).failed_total, 0);
    snprintf(text, sizeof text, "CALL outbox_retry(%" PRIu64 ")", me);
    root_number(0, text);
    settle();
    assert_mailbox(peer, me, 3);
}

/* Sets one side of a chat back to a backup from when it had N messages in this
 * direction. */
static void restore(size_t shard, uint64_t owner, uint64_t peer, bool sent, int n)
{
    char text[512];

    snprintf(text, sizeof text,
             "DELETE FROM message WHERE user_id = %" PRIu64 " AND peer_id = %" PRIu64
             " AND sent = %d AND seq > %d; UPDATE chat SET %s = %d WHERE user_id = "
             "%" PRIu64 " AND peer_id = %" PRIu64,
             owner, peer, sent, n, sent ? "sent_seq" : "recv_seq", n, owner, peer);
    root_number(shard, text);
}

/* Does the job chat_repair of SHARD, and dies after 1, 2, 4, .. ms on the way. */
static void do_repair(size_t shard)
{
    struct work work;
    struct job_list list = {.n = 0};
    enum outcome outcome = OUTCOME_BUSY;

    work_begin(&work, 10000);
    assert_int_equal(job_claim(fixture.router, &work.call, shard, 1, 60000, &list),
                     OUTCOME_OK);
    assert_int_equal(list.n, 1);
    assert_string_equal(list.jobs[0].kind, "chat_repair");
    for (int64_t limit_ms = 1; outcome != OUTCOME_OK; limit_ms *= 2) {
        struct work part;
        assert_true(limit_ms < PATIENCE_MS);
        work_begin(&part, limit_ms);
        outcome = repair_chat(fixture.router, &part.call, list.jobs[0].owner_id,
                              list.jobs[0].target_id);
        work_end(&part);
    }
    const struct job_report report = {.done = true, .error = ""};
    assert_int_equal(job_finish(fixture.router, &work.call, &list.jobs[0], &report),
                     OUTCOME_OK);
    work_end(&work);
}

static void exchange(uint64_t from, uint64_t to, size_t first, size_t end)
{
    char text[32];

    for (size_t i = first; i < end; i++) {
        snprintf(text, sizeof text, "message %zu", i);
        send_message(from, to, text);
    }
}

/* The sender, the receiver or both were restored from backups: what one of them still
 * has is in both mailboxes afterwards, once and in order. */
static void test_restored_mailboxes(void **unused)
{
    (void)unused;
    /* of so many messages the sender keeps this many, the receiver this many; both
     * have this many afterwards */
    static const struct {
        int n, sent, received;
    } cases[] = {{30, 5, 30}, {50, 0, 50}, {10, 10, 4},
                 {45, 45, 0}, {5, 4, 5},   {9, 3, 6}};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        size_t there = fixture.live.n_shards - 1;
        uint64_t me = live_user(fixture.router, 0);
        uint64_t peer = live_user(fixture.router, there);
        int left = cases[i].sent > cases[i].received ? cases[i].sent : cases[i].received;

        exchange(me, peer, 0, (size_t)cases[i].n);
        settle();
        restore(0, me, peer, /* sent= */ true, cases[i].sent);
        restore(there, peer, me, /* sent= */ false, cases[i].received);
        exchange(me, peer, (size_t)left, (size_t)left + 3); /* the client gets OK */
        WAIT_FOR(root_number(0, "SELECT COUNT(*) FROM job") == 1); /* the relay sees it */
        do_repair(0);
        settle();
        exchange(me, peer, (size_t)left + 3, (size_t)left + 5);
        settle();
        assert_mailbox(peer, me, (size_t)left + 5);
        assert_mailbox(me, peer, (size_t)left + 5);
        assert_int_equal(root_number(0, "SELECT COUNT(*) FROM job"), 0);
        assert_int_equal(relay_state_of(0).parked_total, 0);
    }
}

/* A repair of a chat in which nothing is wrong. */
static void test_repair_of_what_fits(void **unused)
{
    (void)unused;
    uint64_t me = live_user(fixture.router, 0);
    uint64_t peer = live_user(fixture.router, fixture.live.n_shards - 1);
    char text[128];

    for (size_t n = 0; n <= 3; n += 3) {
        snprintf(text, sizeof text, "CALL chat_repair(%" PRIu64 ", %" PRIu64 ")", me,
                 peer);
        root_number(0, text);
        do_repair(0);
        assert_mailbox(me, peer, n);
        exchange(me, peer, n, n + 3);
        settle();
        assert_mailbox(peer, me, n + 3);
    }
}

/* A queue that is always full: the relay must remove the rows. */
static void test_full_queue_leaves_rows(void **unused)
{
    (void)unused;
    struct delivery *mine = fixture.delivery;
    struct delivery *narrow = delivery_new(fixture.router, 1);
    struct delivery_state state;
    uint64_t me = live_user(fixture.router, 0);
    uint64_t author = live_user(fixture.router, fixture.live.n_shards - 1);

    assert_non_null(narrow);
    fixture.delivery = narrow;
    for (size_t i = 0; i < 10; i++) {
        assert_int_equal(like(me, live_video(fixture.router, author), true), OUTCOME_OK);
    }
    fixture.delivery = mine;
    delivery_state(narrow, &state);
    assert_int_equal(state.made_total, 10);
    assert_true(state.queued <= 1);
    settle();
    delivery_free(&narrow);
    assert_null(narrow);
    assert_int_equal(card_of(author).total_favorited, 10);
}

/* What is in the queue at the end is removed before the process exits. */
static void test_queue_is_emptied_at_the_end(void **unused)
{
    (void)unused;
    struct delivery *mine = fixture.delivery;
    uint64_t me = live_user(fixture.router, 0);
    uint64_t author = live_user(fixture.router, fixture.live.n_shards - 1);
    uint64_t video = live_video(fixture.router, author);

    settle();
    relay_off();
    fixture.delivery = delivery_new(fixture.router, 100);
    assert_int_equal(like(me, video, true), OUTCOME_OK);
    delivery_free(&fixture.delivery);
    fixture.delivery = mine;
    assert_int_equal(outbox_rows(), 0);
    relay_on();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_relay_delivers_what_was_left),
        cmocka_unit_test(test_messages_in_order),
        cmocka_unit_test(test_two_relays_do_no_harm),
        cmocka_unit_test(test_bad_row_harms_only_itself),
        cmocka_unit_test(test_a_busy_chat_catches_up),
        cmocka_unit_test(test_a_dead_shard_delays_only_its_own),
        cmocka_unit_test(test_a_crowd_delays_no_other_slot),
        cmocka_unit_test(test_parked_message_is_let_go),
        cmocka_unit_test(test_restored_mailboxes),
        cmocka_unit_test(test_repair_of_what_fits),
        cmocka_unit_test(test_full_queue_leaves_rows),
        cmocka_unit_test(test_queue_is_emptied_at_the_end),
        cmocka_unit_test(test_all_agrees_in_the_end),
    };
    const char *filter = getenv("TEST_FILTER"); // NOLINT(concurrency-mt-unsafe)

    cmocka_set_test_filter(filter);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
