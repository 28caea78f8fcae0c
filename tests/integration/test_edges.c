/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Writes with two owners on real shards: edges, comments and messages, done at once,
 * by the relay, or refused; edges.test.js starts the shards. TEST_FILTER: only tests
 * whose names match the pattern. */
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "shard/base/check.h"

#include "shard/comment.h"
#include "shard/delivery.h"
#include "shard/erase.h"
#include "shard/favorite.h"
#include "shard/feed.h"
#include "shard/id.h"
#include "shard/idem.h"
#include "shard/message.h"
#include "shard/relation.h"
#include "shard/relay.h"
#include "shard/viewer.h"

#include "tests/integration/edges.h"

/* ---- Edges ---- */

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
        /* on one shard both halves are one CALL, and nothing waits in the outbox */
        assert_int_equal(work.call.n_calls, shard == 0 ? 1 : 2);
        if (shard == 0) {
            assert_int_equal(
                count_where(0, "SELECT COUNT(*) FROM outbox WHERE actor_id = %" PRIu64,
                            fan),
                0);
        }
        assert_int_equal(likes_of(video), 1);
        assert_int_equal(card_of(fan).favorite_count, 1);
        assert_int_equal(card_of(author).total_favorited, 1);
        settle(); /* removed in bulk; after that a repeat is one CALL */
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

static void mark_journaled(uint64_t owner, bool is_journaled)
{
    (void)count_where(0, "UPDATE slot_fence SET journal = %d WHERE slot = %u",
                      is_journaled, id_slot(owner));
}

/* Follows of a user on the same shard: a live one, one in a moving slot, and one who
 * does not exist. */
static void test_calls_of_a_follow_on_one_shard(void **unused)
{
    (void)unused;
    struct work work;
    uint64_t me = live_user(fixture.router, 0);
    uint64_t other = live_user(fixture.router, 0);
    uint64_t nobody = other + 8192; /* the same slot, an unused id */
    const struct {
        uint64_t target;
        bool follows, is_journaled;
        enum outcome outcome;
        unsigned calls;
    } steps[] = {
        {other, true, false, OUTCOME_OK, 1},
        {other, false, true, OUTCOME_OK, 2},
        {other, true, false, OUTCOME_OK, 1}, /* an outbox row that may wait is removed */
        {other, true, false, OUTCOME_SAME, 1},
        {nobody, true, false, OUTCOME_NOTFOUND, 1},
        {nobody, true, true, OUTCOME_NOTFOUND, 3},
    };

    work_begin(&work, 20000);
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        mark_journaled(other, steps[i].is_journaled);
        work.call.n_calls = 0;
        assert_int_equal(relation_action(fixture.delivery, &work.call, me,
                                         steps[i].target, steps[i].follows),
                         steps[i].outcome);
        assert_int_equal(work.call.n_calls, steps[i].calls);
    }
    mark_journaled(other, false);
    assert_int_equal(card_of(me).follow_count, 1);
    assert_int_equal(card_of(other).follower_count, 1);
    work_end(&work);
}

static enum outcome list_users(struct call *call, enum relation_kind kind, uint64_t user,
                               struct relation_page *page)
{
    const struct relation_query query = {.kind = kind, .user_id = user, .limit = 10};

    return relation_list(fixture.router, call, &query, page);
}

/* The number of shards that a page of N users or videos needs if they are spread in
 * turn. */
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

    /* a deleted video is left out */
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
    unsigned failures; /* guarded by the lock */
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

/* One user, three videos, fifty connections: whatever the order was, all see the same
 * one. */
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

/* ---- Refused ---- */

static void test_refused_is_taken_back(void **unused)
{
    (void)unused;
    struct work work;
    uint64_t me = live_user(fixture.router, 0);
    size_t shard = 1 % fixture.live.n_shards;
    uint64_t author = live_user(fixture.router, shard);
    uint64_t video = live_video(fixture.router, author);
    uint64_t nobody = author + 8192; /* the same slot, an unused id */

    work_begin(&work, 20000);
    struct call *call = &work.call;
    assert_int_equal(like(me, video, true), OUTCOME_OK);
    assert_int_equal(publish_delete(fixture.router, call, author, video), OUTCOME_OK);
    assert_int_equal(like(me, video, false), OUTCOME_OK); /* it is gone, as requested */
    assert_int_equal(like(me, video, false), OUTCOME_SAME);
    assert_int_equal(like(me, video, true), OUTCOME_NOTFOUND);
    assert_int_equal(like(me, nobody, true), OUTCOME_NOTFOUND);
    assert_int_equal(like(me, nobody, true), OUTCOME_NOTFOUND); /* and again */
    call->n_calls = 0;
    assert_int_equal(relation_action(fixture.delivery, call, me, nobody, true),
                     OUTCOME_NOTFOUND);
    assert_int_equal(call->n_calls, shard == 0 ? 1 : 3);
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

/* ---- Comments ---- */

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

/* ---- The rest ---- */

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

/* What an erased user did is undone everywhere, step by step; a second run changes
 * nothing. */
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
    struct erase_progress progress = {.n_undone = 0};
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
    send_message(me, peer, "bye");
    send_message(peer, me, "bye bye"); /* stays with who sent it */
    assert_int_equal(publish_delete(fixture.router, call, peer, gone), OUTCOME_OK);
    assert_int_equal(erase_user(fixture.delivery, call, me, &progress), OUTCOME_NOTFOUND);

    snprintf(text, sizeof text, "CALL user_erase(%" PRIu64 ")", me);
    root_number(0, text);
    /* One comment was taken back on its video, but its author's list does not know. */
    snprintf(text, sizeof text,
             "UPDATE comment SET state = 'deleted' WHERE author_id = %" PRIu64
             " AND video_id = %" PRIu64,
             me, video);
    root_number(far, text);
    snprintf(text, sizeof text,
             "UPDATE video SET comment_count = 0 WHERE video_id = %" PRIu64, video);
    root_number(far, text);
    assert_int_equal(erase_user(fixture.delivery, call, me, &progress), OUTCOME_OK);
    assert_int_equal(erase_user(fixture.delivery, call, me, &progress), OUTCOME_OK);
    settle();
    assert_int_equal(count_where(far,
                                 "SELECT COUNT(*) FROM message WHERE user_id = %" PRIu64
                                 " AND peer_id = %" PRIu64 " AND text = 'bye'",
                                 peer, me),
                     0);
    assert_int_equal(count_where(far,
                                 "SELECT COUNT(*) FROM message WHERE user_id = %" PRIu64
                                 " AND peer_id = %" PRIu64 " AND state = 1 AND sent = 1",
                                 peer, me),
                     1);
    assert_int_equal(
        count_where(0, "SELECT COUNT(*) FROM message WHERE user_id = %" PRIu64, me), 0);
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

/* ---- The feed ---- */

/* The number of shards with videos on PAGE, which must be newest first. */
static size_t shards_on(const struct video_page *page)
{
    bool is_there[SHARDS_MAX] = {false};
    size_t n = 0;

    for (size_t i = 0; i < page->n; i++) {
        size_t shard = router_slot_shard(fixture.router, id_slot(page->videos[i].id));
        n += !is_there[shard];
        is_there[shard] = true;
        assert_true(i == 0 || page->videos[i - 1].published_at_ms >=
                                  page->videos[i].published_at_ms);
    }
    return n;
}

/* Cards in the same CALL: one per shard. Fetched later: one more per shard with a
 * video on the page. */
static void test_calls_of_the_feed(void **unused)
{
    (void)unused;
    struct work work;
    struct video_page at_once, later;
    const struct feed_query ids_first = {.limit = 3, .ids_first = true};
    size_t n_shards = fixture.live.n_shards;

    for (size_t i = 0; i < 3; i++) {
        live_video(fixture.router, live_user(fixture.router, i % n_shards));
    }
    work_begin(&work, 10000);
    assert_int_equal(feed_list(fixture.router, &work.call, 0, 3, &at_once), OUTCOME_OK);
    assert_false(at_once.partial);
    assert_int_equal(at_once.n, 3);
    assert_int_equal(work.call.n_calls, n_shards);
    work.call.n_calls = 0;
    assert_int_equal(feed_read(fixture.router, &work.call, &ids_first, &later),
                     OUTCOME_OK);
    assert_int_equal(work.call.n_calls, n_shards + shards_on(&later));
    assert_int_equal(later.n, at_once.n);
    assert_int_equal(later.next_time_ms, at_once.next_time_ms);
    assert_false(later.partial);
    for (size_t i = 0; i < later.n; i++) {
        assert_int_equal(later.videos[i].id, at_once.videos[i].id);
        assert_string_equal(later.videos[i].title, at_once.videos[i].title);
        assert_string_equal(later.videos[i].author.name, at_once.videos[i].author.name);
    }
    work_end(&work);
}

/* Changed fences cost the next page one map, and later pages none. */
static void test_calls_of_the_feed_after_a_change(void **unused)
{
    (void)unused;
    struct work work;
    struct video_page page;
    size_t n_shards = fixture.live.n_shards;

    /* If the background threads read the map first, there is nothing to see. */
    for (int tries = 0; tries < 20; tries++) {
        root_number(0, "CALL _slot_changed()");
        work_begin(&work, 10000);
        assert_int_equal(feed_list(fixture.router, &work.call, 0, 3, &page), OUTCOME_OK);
        assert_false(page.partial);
        unsigned first = work.call.n_calls;
        assert_true(first == n_shards || first == n_shards + 1);
        assert_int_equal(feed_list(fixture.router, &work.call, 0, 3, &page), OUTCOME_OK);
        assert_int_equal(work.call.n_calls, first + n_shards);
        work_end(&work);
        if (first > n_shards) {
            return;
        }
    }
    fail();
}

/* Is the feed partial? */
static bool is_partial(void)
{
    struct work work;
    struct video_page page;

    work_begin(&work, 10000);
    assert_int_equal(feed_list(fixture.router, &work.call, 0, 3, &page), OUTCOME_OK);
    work_end(&work);
    return page.partial;
}

/* Waits until the router knows that SLOT is on SHARD (n_shards: on a server that the
 * router does not know). */
static void wait_for_slot(uint32_t slot, size_t shard)
{
    const struct timespec pause = {.tv_nsec = 5000000};
    int64_t give_up_ms = clock_mono_ms() + 30000;

    while (router_slot_shard(fixture.router, slot) != shard) {
        assert_true(clock_mono_ms() < give_up_ms);
        router_look_again(fixture.router, 0);
        nanosleep(&pause, NULL);
    }
}

/* A slot from 1024 up counts like any other: if nobody serves it, pages are partial. */
static void test_own_slots_are_covered(void **unused)
{
    (void)unused;
    const uint32_t slot = 3000;

    assert_false(is_partial());
    root_number(0, "INSERT INTO slot_fence (slot, epoch, state, server) VALUES "
                   "(3000, 5, 'owned', 'shard1'); CALL _slot_changed()");
    wait_for_slot(slot, 0);
    assert_false(is_partial());
    assert_true(router_is_ready(fixture.router));

    root_number(0, "START TRANSACTION; UPDATE slot_fence SET state = 'importing' WHERE "
                   "slot = 3000; CALL _slot_changed(); COMMIT");
    assert_true(is_partial());

    /* Now it is on a shard that cannot be asked. */
    root_number(0,
                "START TRANSACTION; UPDATE slot_fence SET state = 'moved', epoch = 6, "
                "server = 'elsewhere' WHERE slot = 3000; CALL _slot_changed(); COMMIT");
    wait_for_slot(slot, fixture.live.n_shards);
    assert_true(is_partial());
    assert_false(router_is_ready(fixture.router));

    root_number(0, "START TRANSACTION; UPDATE slot_fence SET state = 'owned', epoch = 7, "
                   "server = 'shard1' WHERE slot = 3000; CALL _slot_changed(); COMMIT");
    wait_for_slot(slot, 0);
    assert_false(is_partial());
    assert_true(router_is_ready(fixture.router));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calls_of_a_like),
        cmocka_unit_test(test_calls_of_a_follow_on_one_shard),
        cmocka_unit_test(test_calls_of_lists_and_flags),
        cmocka_unit_test(test_calls_of_the_feed),
        cmocka_unit_test(test_calls_of_the_feed_after_a_change),
        cmocka_unit_test(test_own_slots_are_covered),
        cmocka_unit_test(test_crowd_agrees),
        cmocka_unit_test(test_refused_is_taken_back),
        cmocka_unit_test(test_calls_of_comments),
        cmocka_unit_test(test_profile_and_keys),
        cmocka_unit_test(test_erased_user_leaves_nothing),
        cmocka_unit_test(test_all_agrees_in_the_end),
    };
    const char *filter = getenv("TEST_FILTER"); // NOLINT(concurrency-mt-unsafe)

    cmocka_set_test_filter(filter);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
