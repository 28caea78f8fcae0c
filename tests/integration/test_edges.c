/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Writes to two owners against real shards: edges, comments and messages, at once, by the
 * relay, refused; edges.test.js starts the shards. TEST_FILTER: only tests whose names
 * match the pattern. */
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

#include "tests/integration/edges.h"

/* --- Edges
 * -------------------------------------------------------------------------------- */

static void test_calls_of_a_like(void **unused)
{
    (void)unused;
    for (size_t shard = 0; shard < fixture.live.n_shards; shard++) {
        uint64_t author = live_user(fixture.router, shard);
        uint64_t fan = live_user(fixture.router, 0);
        uint64_t video = live_video(fixture.router, author);
        struct work work;

        work_begin(&work, 5000);
        assert_int_equal(favorite_action(fixture.delivery, &work.call, fan, video, true),
                         OUTCOME_OK);
        assert_int_equal(work.call.n_calls, 2);
        assert_int_equal(likes_of(video), 1);
        assert_int_equal(card_of(fan).favorite_count, 1);
        assert_int_equal(card_of(author).total_favorited, 1);
        settle(); /* the rows go in bulk; afterwards a repeat is one CALL */
        work.call.n_calls = 0;
        assert_int_equal(favorite_action(fixture.delivery, &work.call, fan, video, true),
                         OUTCOME_SAME);
        assert_int_equal(work.call.n_calls, 1);
        assert_int_equal(favorite_action(fixture.delivery, &work.call, fan, video, false),
                         OUTCOME_OK);
        assert_int_equal(likes_of(video), 0);
        assert_int_equal(card_of(fan).favorite_count, 0);
        assert_int_equal(card_of(author).total_favorited, 0);
        work_end(&work);
    }
}

static enum outcome list_users(struct call *call, enum relation_kind kind, uint64_t user,
                               struct relation_page *page)
{
    const struct relation_query query = {.kind = kind, .user_id = user, .limit = 10};

    return relation_list(fixture.router, call, &query, page);
}

/* Shards that a page of N users or videos touches, when they are spread in turn. */
static size_t touched(size_t n)
{
    return n < fixture.live.n_shards ? n : fixture.live.n_shards;
}

static void test_calls_of_lists_and_flags(void **unused)
{
    (void)unused;
    struct work work;
    struct video_page videos;
    struct relation_page users;
    uint64_t me = live_user(fixture.router, 0);
    uint64_t others[3], video[3];
    size_t n_shards = fixture.live.n_shards;

    work_begin(&work, 20000);
    struct call *call = &work.call;
    for (size_t i = 0; i < 3; i++) {
        others[i] = live_user(fixture.router, i % n_shards);
        video[i] = live_video(fixture.router, others[i]);
        assert_int_equal(like(me, video[i], true), OUTCOME_OK);
        assert_int_equal(relation_action(fixture.delivery, call, me, others[i], true),
                         OUTCOME_OK);
    }
    assert_int_equal(relation_action(fixture.delivery, call, others[1], me, true),
                     OUTCOME_OK);

    call->n_calls = 0;
    assert_int_equal(favorite_list(fixture.router, call, me, 0, 2, &videos), OUTCOME_OK);
    assert_int_equal(call->n_calls, 1 + touched(2));
    assert_int_equal(videos.n, 2);
    assert_true(videos.videos[0].id == video[2] && videos.videos[1].id == video[1]);
    assert_true(videos.videos[0].author.id == others[2]);
    assert_int_equal(viewer_mark_videos(fixture.router, call, me, videos.videos, 2),
                     OUTCOME_OK);
    assert_int_equal(call->n_calls, 2 + touched(2));
    assert_true(videos.videos[0].is_favorite && videos.videos[0].author.is_follow);
    assert_int_equal(viewer_mark_videos(fixture.router, call, 0, videos.videos, 2),
                     OUTCOME_OK);
    assert_int_equal(call->n_calls, 2 + touched(2));
    assert_false(videos.videos[0].is_favorite || videos.videos[0].author.is_follow);
    uint64_t cursor = videos.next_cursor;
    assert_int_equal(favorite_list(fixture.router, call, me, cursor, 2, &videos),
                     OUTCOME_OK);
    assert_true(videos.n == 1 && videos.videos[0].id == video[0]);
    assert_true(videos.next_cursor == 0);

    /* a video that is gone is left out */
    assert_int_equal(publish_delete(fixture.router, call, others[1], video[1]),
                     OUTCOME_OK);
    assert_int_equal(favorite_list(fixture.router, call, me, 0, 10, &videos), OUTCOME_OK);
    assert_int_equal(videos.n, 2);

    call->n_calls = 0;
    assert_int_equal(list_users(call, RELATION_FOLLOWS, me, &users), OUTCOME_OK);
    assert_int_equal(call->n_calls, 1 + touched(3));
    assert_int_equal(users.n, 3);
    assert_true(users.users[0].id == others[2] && users.users[2].id == others[0]);
    assert_int_equal(list_users(call, RELATION_FOLLOWERS, me, &users), OUTCOME_OK);
    assert_true(users.n == 1 && users.users[0].id == others[1]);
    assert_int_equal(viewer_mark_users(fixture.router, call, me, users.users, 1),
                     OUTCOME_OK);
    assert_true(users.users[0].is_follow);
    assert_int_equal(list_users(call, RELATION_FRIENDS, me, &users), OUTCOME_OK);
    assert_true(users.n == 1 && users.users[0].id == others[1]);
    assert_false(users.notes[0].has_message);
    assert_string_equal(users.notes[0].text, "");
    assert_int_equal(list_users(call, RELATION_FOLLOWERS, me + 8192, &users),
                     OUTCOME_NOTFOUND);
    work_end(&work);
}

#define CROWD       50
#define CROWD_TURNS 6

struct crowd {
    uint64_t user;
    uint64_t videos[3];
    unsigned failures; /* under lock */
    pthread_mutex_t lock;
};

static void *one_of_the_crowd(void *argument)
{
    struct crowd *crowd = argument;
    unsigned failures = 0;

    for (int i = 0; i < CROWD_TURNS; i++) {
        enum outcome outcome =
            like(crowd->user, crowd->videos[rnd_below(3)], rnd_below(2) == 1);
        failures += outcome != OUTCOME_OK && outcome != OUTCOME_SAME;
    }
    pthread_mutex_lock(&crowd->lock);
    crowd->failures += failures;
    pthread_mutex_unlock(&crowd->lock);
    return NULL;
}

/* One user, three videos, fifty connections: whatever the order was, it was one order. */
static void test_crowd_agrees(void **unused)
{
    (void)unused;
    struct crowd crowd = {.user = live_user(fixture.router, 0),
                          .lock = PTHREAD_MUTEX_INITIALIZER};
    size_t shard = 1 % fixture.live.n_shards;
    uint64_t author = live_user(fixture.router, shard);
    pthread_t threads[CROWD];
    int64_t likes = 0;

    for (size_t i = 0; i < 3; i++) {
        crowd.videos[i] = live_video(fixture.router, author);
    }
    for (size_t i = 0; i < CROWD; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, one_of_the_crowd, &crowd), 0);
    }
    for (size_t i = 0; i < CROWD; i++) {
        pthread_join(threads[i], NULL);
    }
    settle();
    assert_int_equal(crowd.failures, 0);
    for (size_t i = 0; i < 3; i++) {
        long long forward = count_where(
            0,
            "SELECT ver * 2 + state FROM favorite WHERE user_id = %" PRIu64 " AND "
            "video_id = %" PRIu64,
            crowd.user, crowd.videos[i]);
        long long backward = count_where(
            shard,
            "SELECT ver * 2 + state FROM liker WHERE user_id = %" PRIu64 " AND "
            "video_id = %" PRIu64,
            crowd.user, crowd.videos[i]);
        assert_int_equal(forward, backward);
        assert_int_equal(likes_of(crowd.videos[i]), forward % 2);
        likes += forward % 2;
    }
    assert_int_equal(card_of(crowd.user).favorite_count, likes);
    assert_int_equal(card_of(author).total_favorited, likes);
}

/* --- Refused
 * ------------------------------------------------------------------------------ */

static void test_refused_is_taken_back(void **unused)
{
    (void)unused;
    struct work work;
    uint64_t me = live_user(fixture.router, 0);
    size_t shard = 1 % fixture.live.n_shards;
    uint64_t author = live_user(fixture.router, shard);
    uint64_t video = live_video(fixture.router, author);
    uint64_t nobody = author + 8192; /* the same slot, nobody's id */

    work_begin(&work, 20000);
    struct call *call = &work.call;
    assert_int_equal(like(me, video, true), OUTCOME_OK);
    assert_int_equal(publish_delete(fixture.router, call, author, video), OUTCOME_OK);
    assert_int_equal(like(me, video, false), OUTCOME_NOTFOUND);
    assert_int_equal(like(me, video, true), OUTCOME_NOTFOUND);
    assert_int_equal(like(me, nobody, true), OUTCOME_NOTFOUND);
    assert_int_equal(like(me, nobody, true), OUTCOME_NOTFOUND); /* and again */
    call->n_calls = 0;
    assert_int_equal(relation_action(fixture.delivery, call, me, nobody, true),
                     OUTCOME_NOTFOUND);
    assert_int_equal(call->n_calls, 3);
    struct message_action_args message = {
        .user_id = me, .peer_id = nobody, .text = "hello?"};
    rnd_bytes(message.op, sizeof message.op);
    assert_int_equal(message_action(fixture.delivery, call, &message, NULL),
                     OUTCOME_NOTFOUND);
    struct user_card card = card_of(me);
    assert_int_equal(card.favorite_count, 0);
    assert_int_equal(card.follow_count, 0);
    assert_int_equal(count_where(0,
                                 "SELECT COUNT(*) FROM outbox WHERE actor_id = %" PRIu64
                                 " AND target_id <> 0",
                                 me),
                     0);
    assert_int_equal(count_where(0,
                                 "SELECT (SELECT COUNT(*) FROM favorite WHERE user_id = "
                                 "%" PRIu64
                                 " AND state = 1) + (SELECT COUNT(*) FROM message "
                                 "WHERE user_id = %" PRIu64 " AND state = 1)",
                                 me, me),
                     0);
    struct message_page page;
    const struct message_range range = {.limit = 10};
    assert_int_equal(message_chat(fixture.router, call, me, nobody + 8192, &range, &page),
                     OUTCOME_NOTFOUND);
    assert_int_equal(message_chat(fixture.router, call, me, author, &range, &page),
                     OUTCOME_OK);
    assert_int_equal(page.n, 0);
    work_end(&work);
}

/* --- Comments
 * ----------------------------------------------------------------------------- */

static void test_calls_of_comments(void **unused)
{
    (void)unused;
    struct work work;
    size_t shard = 1 % fixture.live.n_shards;
    uint64_t author = live_user(fixture.router, shard);
    uint64_t video = live_video(fixture.router, author);
    uint64_t users[3];
    struct comment comments[3], again;
    struct comment_page page;
    struct comment_action_args args = {.video_id = video};

    work_begin(&work, 20000);
    struct call *call = &work.call;
    for (size_t i = 0; i < 3; i++) {
        users[i] = live_user(fixture.router, i % fixture.live.n_shards);
        args.user_id = users[i];
        args.text = i == 1 ? "a \"quoted\" \xe6\x8a\x96" : "first!";
        rnd_bytes(args.op, sizeof args.op);
        call->n_calls = 0;
        assert_int_equal(comment_action(fixture.delivery, call, &args, &comments[i]),
                         OUTCOME_OK);
        assert_int_equal(call->n_calls, 2);
        assert_true(comments[i].author.id == users[i] && comments[i].created_at_ms > 0);
    }
    assert_int_equal(comment_action(fixture.delivery, call, &args, &again), OUTCOME_SAME);
    assert_true(again.id == comments[2].id);
    args.text = "another text";
    assert_int_equal(comment_action(fixture.delivery, call, &args, &again), OUTCOME_SAME);
    assert_string_equal(again.text, "first!");
    args.user_id = users[0];
    assert_int_equal(comment_action(fixture.delivery, call, &args, &again),
                     OUTCOME_MISMATCH);
    args.video_id = video + 8192;
    assert_int_equal(comment_action(fixture.delivery, call, &args, &again),
                     OUTCOME_NOTFOUND);

    call->n_calls = 0;
    assert_int_equal(comment_list(fixture.router, call, video, 0, 2, &page), OUTCOME_OK);
    assert_int_equal(call->n_calls, 1 + touched(2));
    assert_int_equal(page.n, 2);
    assert_true(page.comments[0].id == comments[2].id);
    assert_string_equal(page.comments[1].text, "a \"quoted\" \xe6\x8a\x96");
    assert_true(page.comments[1].author.id == users[1]);
    assert_int_equal(
        comment_list(fixture.router, call, video, page.next_cursor, 2, &page),
        OUTCOME_OK);
    assert_true(page.n == 1 && page.next_cursor == 0);
    assert_int_equal(viewer_mark_comments(fixture.router, call, author, page.comments, 1),
                     OUTCOME_OK);
    assert_false(page.comments[0].author.is_follow);

    assert_int_equal(
        comment_delete(fixture.delivery, call, video, users[0], comments[1].id),
        OUTCOME_FORBIDDEN);
    assert_int_equal(
        comment_delete(fixture.delivery, call, video, users[1], comments[1].id),
        OUTCOME_OK);
    assert_int_equal(
        comment_delete(fixture.delivery, call, video, author, comments[0].id),
        OUTCOME_OK);
    assert_int_equal(
        comment_delete(fixture.delivery, call, video, author, comments[0].id),
        OUTCOME_SAME);
    assert_int_equal(
        comment_delete(fixture.delivery, call, video, author, comments[0].id + 9),
        OUTCOME_NOTFOUND);
    assert_int_equal(comment_list(fixture.router, call, video, 0, 10, &page), OUTCOME_OK);
    assert_int_equal(page.n, 1);
    struct video_card card;
    assert_int_equal(video_get(fixture.router, call, &video, 1, &card), OUTCOME_OK);
    assert_int_equal(card.comment_count, 1);
    work_end(&work);
    settle();
    for (size_t i = 0; i < 3; i++) { /* the authors' own lists */
        assert_int_equal(count_where(i % fixture.live.n_shards,
                                     "SELECT COUNT(*) FROM commented WHERE user_id = "
                                     "%" PRIu64 " AND state = 1 AND video_id = %" PRIu64,
                                     users[i], video),
                         i == 2);
    }
}

/* --- The relay
 * ---------------------------------------------------------------------------- */

static void test_relay_delivers_what_was_left(void **unused)
{
    (void)unused;
    size_t frozen = fixture.live.n_shards - 1;
    uint64_t me = live_user(fixture.router, 0);
    uint64_t author = live_user(fixture.router, frozen);
    uint64_t video = live_video(fixture.router, author);
    uint64_t gone = live_video(fixture.router, author);
    uint64_t near = live_video(fixture.router, live_user(fixture.router, 0));
    struct relay_state before, after;

    settle();
    freeze(frozen);
    int64_t start_ms = clock_mono_ms();
    assert_int_equal(like(me, video, true), OUTCOME_OK); /* safe, and answered in time */
    assert_true(clock_mono_ms() - start_ms < 2500);
    assert_int_equal(like(me, gone + 8192, true), OUTCOME_OK); /* nobody can know yet */
    assert_int_equal(like(me, near, true), OUTCOME_OK);
    assert_int_equal(likes_of(near), 1);
    assert_int_equal(card_of(me).favorite_count, 3);
    relay_get_state(fixture.relay, 0, &before);
    pause_ms(1500); /* the relay sees the rows and can do nothing about them */
    thaw(frozen);
    settle();
    relay_get_state(fixture.relay, 0, &after);
    assert_true(after.delivered_total > before.delivered_total);
    assert_true(after.undone_total > before.undone_total);
    assert_int_equal(after.parked_total, 0);
    assert_int_equal(likes_of(video), 1);
    assert_int_equal(card_of(me).favorite_count, 2);
    assert_int_equal(card_of(author).total_favorited, 1);
}

#define MESSAGES 12

static void send_message(uint64_t from, uint64_t to, const char *text)
{
    struct work work;
    struct message_action_args args = {.user_id = from, .peer_id = to, .text = text};

    rnd_bytes(args.op, sizeof args.op);
    work_begin(&work, 10000);
    assert_int_equal(message_action(fixture.delivery, &work.call, &args, NULL),
                     OUTCOME_OK);
    work_end(&work);
}

static void assert_mailbox(uint64_t owner, uint64_t peer, size_t n)
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

    /* what was sent is not received; the same op is the same message; two CALLs */
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

/* The first half alone, as when the process died right after it. */
static void first_half(enum proc_id proc, uint64_t actor, uint64_t target, size_t i)
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

/* Two relays on the same rows at the same time: leases that last no time at all. */
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

/* A row that no shard can make sense of fails alone, and is parked in the end. */
static void test_bad_row_harms_only_itself(void **unused)
{
    (void)unused;
    uint64_t me = live_user(fixture.router, 0);
    uint64_t slot = id_slot(me);
    uint64_t others[4];
    struct relay_state state;
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
    live_number(0, text); /* follows himself: no procedure lets that happen */
    relay_on();
    for (int i = 0; i < 200 && outbox_rows() > 1; i++) {
        pause_ms(50);
    }
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(card_of(others[i]).follower_count, 1);
    }
    assert_int_equal(count_where(0,
                                 "SELECT attempts + parked FROM outbox WHERE actor_id = "
                                 "%" PRIu64,
                                 me),
                     21);
    relay_get_state(fixture.relay, 0, &state);
    assert_int_equal(state.parked_total, 1);
    assert_int_equal(state.failed_total, 1);
    snprintf(text, sizeof text,
             "DELETE FROM outbox WHERE actor_id = %" PRIu64 "; DELETE FROM follow WHERE "
             "user_id = %" PRIu64 " AND followed_id = %" PRIu64,
             me, me, me);
    live_number(0, text);
}

/* A queue that is always full: the rows are the relay's. */
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
    delivery_get_state(narrow, &state);
    assert_int_equal(state.made_total, 10);
    assert_true(state.queued <= 1);
    settle();
    delivery_free(&narrow);
    assert_null(narrow);
    assert_int_equal(card_of(author).total_favorited, 10);
}

/* What the queue holds at the end is removed before the process goes. */
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

/* --- The rest
 * ----------------------------------------------------------------------------- */

static void test_profile_and_keys(void **unused)
{
    (void)unused;
    struct work work;
    struct user_card card;
    uint64_t me = live_user(fixture.router, 1 % fixture.live.n_shards);
    struct user_profile_args args = {.avatar = "a1", .signature = "hi \xf0\x9f\x90\xa6"};
    unsigned char op[OP_BYTES], body[IDEM_BODY_BYTES] = {1};
    int64_t first_ms = 0, again_ms = 0;

    work_begin(&work, 10000);
    struct call *call = &work.call;
    assert_int_equal(user_profile(fixture.router, call, me, &args), OUTCOME_OK);
    args.avatar = "a2";
    args.signature = NULL;
    assert_int_equal(user_profile(fixture.router, call, me, &args), OUTCOME_OK);
    assert_int_equal(user_get(fixture.router, call, &me, 1, &card), OUTCOME_OK);
    assert_string_equal(card.avatar, "a2");
    assert_string_equal(card.signature, "hi \xf0\x9f\x90\xa6");

    for (int i = 0; i < 4; i++) { /* keys of several slots */
        rnd_bytes(op, sizeof op);
        body[0] = 1;
        assert_int_equal(idem_claim(fixture.router, call, op, body, &first_ms),
                         OUTCOME_OK);
        assert_int_equal(idem_claim(fixture.router, call, op, body, &again_ms),
                         OUTCOME_SAME);
        assert_true(first_ms > 1735689600000 && again_ms == first_ms);
        body[0] = 2;
        assert_int_equal(idem_claim(fixture.router, call, op, body, &again_ms),
                         OUTCOME_MISMATCH);
    }
    uint64_t removed = 1;
    assert_int_equal(idem_purge(fixture.router, call, 0, 86400000, 256, &removed),
                     OUTCOME_OK);
    assert_true(removed == 0);

    /* many cards, most of them twice, in the order that was asked for */
    uint64_t ids[600];
    struct user_card cards[600];
    for (size_t i = 0; i < 600; i++) {
        ids[i] = i % 2 == 0 ? me : me + 8192 * (i / 2 + 1);
    }
    call->n_calls = 0;
    assert_int_equal(user_get(fixture.router, call, ids, 600, cards), OUTCOME_OK);
    assert_int_equal(call->n_calls, 2);
    for (size_t i = 0; i < 600; i++) {
        assert_true(cards[i].id == (i % 2 == 0 ? me : 0));
    }
    work_end(&work);
}

/* What an erased user did is undone everywhere, step by step; a second time is the same.
 */
static void test_erased_user_leaves_nothing(void **unused)
{
    (void)unused;
    struct work work;
    size_t far = fixture.live.n_shards - 1;
    uint64_t me = live_user(fixture.router, 0);
    uint64_t peer = live_user(fixture.router, far);
    uint64_t video = live_video(fixture.router, peer);
    uint64_t gone = live_video(fixture.router, peer);
    uint64_t mine = live_video(fixture.router, me);
    struct comment comment;
    struct comment_action_args args = {.user_id = me, .text = "nice"};
    char text[128];

    work_begin(&work, 30000);
    struct call *call = &work.call;
    assert_int_equal(like(me, video, true), OUTCOME_OK);
    assert_int_equal(relation_action(fixture.delivery, call, me, peer, true), OUTCOME_OK);
    const uint64_t commented[] = {video, gone, mine};
    for (size_t i = 0; i < ARRAY_LEN(commented); i++) {
        args.video_id = commented[i];
        rnd_bytes(args.op, sizeof args.op);
        assert_int_equal(comment_action(fixture.delivery, call, &args, &comment),
                         OUTCOME_OK);
    }
    send_message(me, peer, "bye"); /* stays in the other's mailbox */
    assert_int_equal(publish_delete(fixture.router, call, peer, gone), OUTCOME_OK);
    assert_int_equal(erase_user(fixture.delivery, call, me), OUTCOME_NOTFOUND);

    snprintf(text, sizeof text, "CALL user_erase(%" PRIu64 ")", me);
    live_number(0, text);
    assert_int_equal(erase_user(fixture.delivery, call, me), OUTCOME_OK);
    assert_int_equal(erase_user(fixture.delivery, call, me), OUTCOME_OK);
    settle();
    assert_int_equal(likes_of(video), 0);
    assert_int_equal(card_of(peer).follower_count, 0);
    assert_int_equal(card_of(peer).total_favorited, 0);
    assert_int_equal(card_of(me).id, 0);
    struct comment_page page;
    assert_int_equal(comment_list(fixture.router, call, video, 0, 10, &page), OUTCOME_OK);
    assert_int_equal(page.n, 0);
    assert_int_equal(like(peer, mine, true), OUTCOME_NOTFOUND);
    assert_int_equal(relation_action(fixture.delivery, call, peer, me, true),
                     OUTCOME_NOTFOUND);
    assert_int_equal(count_where(0,
                                 "SELECT (SELECT COUNT(*) FROM favorite WHERE user_id = "
                                 "%" PRIu64 " AND state = 1) + (SELECT COUNT(*) FROM "
                                 "commented WHERE user_id = %" PRIu64 " AND state = 1)",
                                 me, me),
                     0);
    work_end(&work);
}

/* Last: every counter of every shard equals its rows, both halves agree, nothing waits.
 */
static void test_all_agrees_in_the_end(void **unused)
{
    (void)unused;
    static const char *const sums[][2] = {
        {"SELECT COALESCE(SUM(CRC32(CONCAT_WS(':', user_id, followed_id, ver))), 0) FROM "
         "follow WHERE state = 1",
         "SELECT COALESCE(SUM(CRC32(CONCAT_WS(':', follower_id, user_id, ver))), 0) FROM "
         "follower WHERE state = 1"},
        {"SELECT COALESCE(SUM(CRC32(CONCAT_WS(':', user_id, peer_id, seq, text))), 0) "
         "FROM message WHERE sent = 1 AND state = 1",
         "SELECT COALESCE(SUM(CRC32(CONCAT_WS(':', peer_id, user_id, seq, text))), 0) "
         "FROM message WHERE sent = 0 AND state = 1 AND text <> 'bye'"},
    };

    settle();
    for (size_t i = 0; i < fixture.live.n_shards; i++) {
        assert_int_equal(
            live_number(i, "SELECT COUNT(*) FROM user AS u WHERE u.follow_count <> "
                           "(SELECT COUNT(*) FROM follow AS f WHERE f.slot = u.slot AND "
                           "f.user_id = u.user_id AND f.state = 1) OR u.follower_count "
                           "<> (SELECT COUNT(*) FROM follower AS f WHERE f.slot = u.slot "
                           "AND f.user_id = u.user_id AND f.state = 1) OR "
                           "u.favorite_count <> (SELECT COUNT(*) FROM favorite AS f "
                           "WHERE f.slot = u.slot AND f.user_id = u.user_id AND f.state "
                           "= 1)"),
            0);
        assert_int_equal(
            live_number(i, "SELECT COUNT(*) FROM video AS v WHERE v.state = 'live' AND "
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
            forward += live_number(i, sums[k][0]);
            backward += live_number(i, sums[k][1]);
        }
        assert_int_equal(forward, backward);
    }
}

static int set_up(void **unused)
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

static int tear_down(void **unused)
{
    (void)unused;
    relay_off();
    delivery_free(&fixture.delivery);
    router_free(&fixture.router);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calls_of_a_like),
        cmocka_unit_test(test_calls_of_lists_and_flags),
        cmocka_unit_test(test_crowd_agrees),
        cmocka_unit_test(test_refused_is_taken_back),
        cmocka_unit_test(test_calls_of_comments),
        cmocka_unit_test(test_relay_delivers_what_was_left),
        cmocka_unit_test(test_messages_in_order),
        cmocka_unit_test(test_two_relays_do_no_harm),
        cmocka_unit_test(test_bad_row_harms_only_itself),
        cmocka_unit_test(test_full_queue_leaves_rows),
        cmocka_unit_test(test_queue_is_emptied_at_the_end),
        cmocka_unit_test(test_profile_and_keys),
        cmocka_unit_test(test_erased_user_leaves_nothing),
        cmocka_unit_test(test_all_agrees_in_the_end),
    };
    const char *filter = getenv("TEST_FILTER"); // NOLINT(concurrency-mt-unsafe)

    cmocka_set_test_filter(filter);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
