/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The feed over many shards: which shards are asked for what, what makes a page, and
 * when it is partial. The shards are in memory: this program replaces the router's
 * functions that the feed calls. */
#include <string.h>

#include "shard/cache.h"
#include "shard/feed.h"
#include "shard/id.h"
#include "shard/parts.h"
#include "shard/router.h"
#include "shard/router_call.h"
#include "shard/router_scatter.h"

#include "tests/unit/cmocka_all.h"

#define SHARDS_MAX 100
#define VIDEOS_MAX 2000
#define LIMIT      30

/* Enough for a page of 100 shards. */
#define PAGE_BYTES ((size_t)1 << 20)

/* In these tests shard i serves an own slot, OWN_SLOT + i. */
#define OWN_SLOT 1500

struct fake_video {
    size_t shard;
    int64_t at_ms; /* 0: no video */
    bool is_gone;  /* was deleted between the ids and the cards */
};

static struct {
    size_t n_shards;
    size_t n_removed; /* the shards with the highest indexes are removed */
    bool is_down[SHARDS_MAX];
    uint64_t gen[SHARDS_MAX];             /* of its fences */
    uint64_t read[SHARDS_MAX];            /* of the map that the router has read */
    bool lacks_own[SHARDS_MAX];           /* does not serve its own slot */
    struct fake_video videos[VIDEOS_MAX]; /* newest first; the id is the index + 1 */
    unsigned n_asked[SHARDS_MAX];
    uint32_t disputed_slot; /* 0: none */
    unsigned n_maps;        /* maps read */
    unsigned n_pauses;      /* rounds after the first */
    unsigned n_pauses_max;
    void (*in_pause)(void);
    void (*in_map)(void);
    uint64_t last_ask;
    enum proc_id last_proc;
    enum outcome cards_outcome;
} world;

static struct arena arena;
static struct call request;

/* N shards without videos, whose maps have all been read. */
static void make_world(size_t n_shards)
{
    memset(&world, 0, sizeof world);
    world.n_shards = n_shards;
    for (size_t i = 0; i < n_shards; i++) {
        world.gen[i] = world.read[i] = 1000 + i;
    }
    arena_init(&arena, PAGE_BYTES);
    call_init(&request, &arena, INT64_MAX);
}

static void end_world(void)
{
    arena_release(&arena);
}

/* ---- The router ---- */

size_t router_n_shards(const struct router *router)
{
    (void)router;
    return world.n_shards + world.n_removed;
}

bool router_has_shard(const struct router *router, size_t shard)
{
    (void)router;
    return shard < world.n_shards;
}

struct cache *router_cache(const struct router *router)
{
    (void)router;
    return NULL;
}

struct cache_since cache_since(const struct cache *cache)
{
    assert_null(cache);
    return (struct cache_since){.ms = 0};
}

void parts_offer_video(struct router *router, const struct cache_since *since,
                       const struct dbresult *result, size_t row)
{
    (void)router;
    (void)since;
    (void)result;
    (void)row;
}

size_t router_slot_shard(struct router *router, uint32_t slot)
{
    (void)router;
    if (slot == world.disputed_slot && slot != 0) {
        return router_n_shards(router);
    }
    return slot < SHARED_SLOTS ? slot % world.n_shards : slot - OWN_SLOT;
}

void router_look_again(struct router *router, size_t shard)
{
    (void)router;
    assert_true(shard < world.n_shards);
}

bool router_pause(const struct call *call, unsigned round)
{
    (void)call;
    assert_int_equal(round, world.n_pauses + 1);
    if (world.n_pauses == world.n_pauses_max) {
        return false;
    }
    world.n_pauses++;
    if (world.in_pause != NULL) {
        world.in_pause();
    }
    return true;
}

void router_all_slots(struct router *router, struct slotset *slots,
                      struct slotset *disputed)
{
    (void)router;
    *disputed = (struct slotset){.words = {0}};
    if (world.disputed_slot != 0) {
        slotset_add(disputed, world.disputed_slot);
    }
    *slots = (struct slotset){.words = {0}};
    for (uint32_t slot = 0; slot < SHARED_SLOTS; slot++) {
        slotset_add(slots, slot);
    }
    for (uint32_t i = 0; i < world.n_shards; i++) {
        slotset_add(slots, OWN_SLOT + i);
    }
}

bool router_covers(struct router *router, size_t shard, uint64_t gen,
                   struct slotset *slots)
{
    (void)router;
    if (gen != world.read[shard]) {
        return false;
    }
    for (uint32_t slot = (uint32_t)shard; slot < SHARED_SLOTS;
         slot += (uint32_t)world.n_shards) {
        slotset_add(slots, slot);
    }
    if (!world.lacks_own[shard]) {
        slotset_add(slots, OWN_SLOT + (uint32_t)shard);
    }
    return true;
}

void router_read_maps(struct router *router, struct call *call,
                      struct router_share *shares, size_t n)
{
    (void)router;
    for (size_t i = 0; i < n; i++) {
        if (shares[i].wanted) {
            world.read[i] = world.gen[i];
            world.n_maps++;
            call->n_calls++;
        }
    }
    if (world.in_map != NULL) {
        world.in_map();
    }
}

/* ---- Results ---- */

static const char *const columns[] = {
    "video_id",
    "published_at",
    "user_id",
    "name",
    "avatar",
    "background_image",
    "signature",
    "follow_count",
    "follower_count",
    "total_favorited",
    "work_count",
    "favorite_count",
    "title",
    "media",
    "video_favorite_count",
    "comment_count",
};
static const char *const gen_columns[] = {"gen"};

#define N_COLUMNS ARRAY_LEN(columns)

static struct dbresult *make_result(struct arena *a, const char *const *names, unsigned n,
                                    size_t room)
{
    struct dbresult *result = arena_calloc(a, 1, sizeof *result);

    assert_non_null(result);
    result->columns = names;
    result->n_columns = n;
    result->values = arena_calloc(a, room * n, sizeof *result->values);
    assert_non_null(result->values);
    return result;
}

static void add_row(struct dbresult *result, size_t video)
{
    struct dbvalue *values = &result->values[result->n_rows++ * result->n_columns];

    for (size_t i = 0; i < result->n_columns; i++) {
        values[i].text = i >= 3 && (i < 7 || i == 12 || i == 13) ? "text" : NULL;
    }
    values[0].number = video + 1;
    values[1].number = (uint64_t)world.videos[video].at_ms;
}

/* What shard I answers. */
static struct dbresult *answer_of(size_t shard, enum proc_id proc, size_t limit)
{
    size_t room = limit < VIDEOS_MAX ? limit : VIDEOS_MAX;
    struct dbresult *rows = make_result(
        &arena, columns, proc == PROC_FEED_IDS ? 2 : (unsigned)N_COLUMNS, room);

    for (size_t v = 0; v < VIDEOS_MAX && rows->n_rows < room; v++) {
        if (world.videos[v].at_ms != 0 && world.videos[v].shard == shard) {
            add_row(rows, v);
        }
    }
    rows->next = make_result(&arena, gen_columns, 1, 1);
    rows->next->n_rows = 1;
    rows->next->values[0].number = world.gen[shard];
    return rows;
}

void router_scatter(struct router *router, struct call *call, enum proc_id proc,
                    const struct dbarg *args, struct router_share *shares, size_t n)
{
    (void)router;
    world.last_proc = proc;
    world.last_ask = args[1].number;
    for (size_t i = 0; i < n; i++) {
        if (shares[i].wanted) {
            assert_true(i < world.n_shards);
            bool is_down = world.is_down[i];
            call->n_calls++;
            world.n_asked[i]++;
            shares[i].outcome = is_down ? OUTCOME_UNAVAILABLE : OUTCOME_OK;
            shares[i].results = is_down ? NULL : answer_of(i, proc, args[1].number);
        }
    }
}

enum outcome video_get(struct router *router, struct call *call, const uint64_t *ids,
                       size_t n, struct video_card *cards)
{
    bool is_asked[SHARDS_MAX] = {false};

    (void)router;
    for (size_t i = 0; i < n; i++) {
        const struct fake_video *video = &world.videos[ids[i] - 1];
        call->n_calls += !is_asked[video->shard];
        is_asked[video->shard] = true;
        bool is_there =
            !video->is_gone && (world.cards_outcome == OUTCOME_OK || video->shard != 0);
        cards[i] = (struct video_card){.id = is_there ? ids[i] : 0,
                                       .published_at_ms = video->at_ms};
    }
    return world.cards_outcome;
}

/* ---- Pages ---- */

static struct video_page read_page(enum outcome expected)
{
    struct video_page page = {.n = 0};

    assert_int_equal(feed_list(NULL, &request, 0, LIMIT, &page), expected);
    return page;
}

/* Video I is on shard I mod n; they are 1 ms apart. */
static void spread_videos(size_t n)
{
    for (size_t i = 0; i < n; i++) {
        world.videos[i] = (struct fake_video){.shard = i % world.n_shards,
                                              .at_ms = 100000 - (int64_t)i};
    }
}

static void assert_newest(const struct video_page *page, size_t n)
{
    assert_int_equal(page->n, n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(page->videos[i].id, i + 1);
    }
    assert_int_equal(page->next_time_ms, world.videos[n - 1].at_ms);
}

static void test_a_hundred_shards(void **state)
{
    (void)state;
    make_world(100);
    spread_videos(VIDEOS_MAX);
    struct video_page page = read_page(OUTCOME_OK);
    assert_newest(&page, LIMIT);
    assert_false(page.partial);
    assert_int_equal(world.last_proc, PROC_FEED_IDS);
    assert_int_equal(world.last_ask, LIMIT + 1);
    /* every video of the page is on another shard */
    assert_int_equal(request.n_calls, 100 + LIMIT);
    end_world();
}

static void test_removed_shards_are_not_asked(void **state)
{
    (void)state;
    make_world(3);
    world.n_removed = 2;
    spread_videos(VIDEOS_MAX);
    struct video_page page = read_page(OUTCOME_OK);
    assert_newest(&page, LIMIT);
    assert_false(page.partial);
    assert_int_equal(request.n_calls, 3);
    end_world();
}

/* 31 rows from each shard, the largest possible answer, fit into PAGE_BYTES. */
static void test_a_hundred_full_answers(void **state)
{
    (void)state;
    make_world(100);
    for (size_t i = 0; i < VIDEOS_MAX; i++) { /* the newest 50 on shard 7 */
        world.videos[i] = (struct fake_video){.shard = i < 50 ? 7 : i % 50,
                                              .at_ms = 100000 - (int64_t)i};
    }
    struct video_page page = read_page(OUTCOME_OK);
    assert_newest(&page, LIMIT);
    assert_int_equal(request.n_calls, 100 + 1);
    end_world();
}

static void test_up_to_eight_shards_send_cards(void **state)
{
    (void)state;
    for (size_t n = 1; n <= FEED_CARDS_SHARDS_MAX + 1; n++) {
        make_world(n);
        spread_videos(500);
        struct video_page page = read_page(OUTCOME_OK);
        assert_newest(&page, LIMIT);
        assert_false(page.partial);
        bool at_once = n <= FEED_CARDS_SHARDS_MAX;
        assert_int_equal(world.last_proc, at_once ? PROC_FEED_LIST : PROC_FEED_IDS);
        assert_int_equal(request.n_calls, at_once ? n : 2 * n);
        if (at_once) {
            assert_string_equal(page.videos[0].title, "text");
        }
        end_world();
    }
}

static void test_no_videos(void **state)
{
    (void)state;
    make_world(100);
    struct video_page page = read_page(OUTCOME_OK);
    assert_int_equal(page.n, 0);
    assert_int_equal(page.next_time_ms, 0);
    assert_false(page.partial);
    end_world();
}

/* ---- Coverage ---- */

static void test_an_unknown_generation_costs_one_map(void **state)
{
    (void)state;
    make_world(4);
    spread_videos(100);
    world.gen[2] = 77;
    struct video_page page = read_page(OUTCOME_OK);
    assert_false(page.partial);
    assert_newest(&page, LIMIT);
    assert_int_equal(world.n_maps, 1);
    assert_int_equal(request.n_calls, 4 + 1);
    page = read_page(OUTCOME_OK);
    assert_int_equal(world.n_maps, 1);
    assert_int_equal(request.n_calls, 4 + 1 + 4);
    end_world();
}

static void change_fences(void)
{
    world.gen[2]++;
    world.read[2] = world.gen[2];
    world.in_map = NULL;
}

/* The fences change again before the map is read: that shard is asked again. */
static void test_fences_that_change_twice(void **state)
{
    (void)state;
    make_world(4);
    spread_videos(100);
    world.gen[2] = 77;
    world.in_map = change_fences;
    world.n_pauses_max = 5;
    struct video_page page = read_page(OUTCOME_OK);
    assert_false(page.partial);
    assert_newest(&page, LIMIT);
    assert_int_equal(world.n_maps, 1);
    assert_int_equal(world.n_asked[2], 2);
    assert_int_equal(world.n_asked[1], 1);
    end_world();
}

/* An own slot that no shard serves makes a page partial, just like a shared slot. */
static void test_an_own_slot_that_nobody_covers(void **state)
{
    (void)state;
    make_world(4);
    spread_videos(100);
    world.lacks_own[3] = true;
    world.n_pauses_max = 3;
    struct video_page page = read_page(OUTCOME_OK);
    assert_true(page.partial);
    assert_newest(&page, LIMIT);
    assert_int_equal(world.n_asked[3], 1 + 3);
    assert_int_equal(world.n_asked[0], 1);
    end_world();
}

static void slot_arrives(void)
{
    world.lacks_own[3] = false;
    world.read[3] = ++world.gen[3];
}

static void test_own_slot_that_is_moving(void **state)
{
    (void)state;
    make_world(4);
    spread_videos(100);
    world.lacks_own[3] = true;
    world.in_pause = slot_arrives;
    world.n_pauses_max = 3;
    struct video_page page = read_page(OUTCOME_OK);
    assert_false(page.partial);
    assert_int_equal(world.n_pauses, 1);
    end_world();
}

/* Two shards claim the slot of the ids 8 to 15: neither is believed, and the page is
 * partial. */
static void test_a_slot_in_dispute(void **state)
{
    (void)state;
    make_world(4);
    spread_videos(100);
    world.disputed_slot = 1;
    struct video_page page = read_page(OUTCOME_OK);
    assert_true(page.partial);
    for (size_t i = 0; i < page.n; i++) {
        assert_int_equal(page.videos[i].id, i < 7 ? i + 1 : i + 9);
    }
    assert_int_equal(world.n_pauses, 0); /* no other shard could be asked */
    end_world();
}

static void test_shards_that_are_down(void **state)
{
    (void)state;
    make_world(100);
    spread_videos(VIDEOS_MAX);
    world.is_down[0] = true;
    struct video_page page = read_page(OUTCOME_OK);
    assert_true(page.partial);
    assert_int_equal(page.n, LIMIT);
    assert_int_equal(page.videos[0].id, 2);
    assert_int_equal(world.n_asked[0], 1);
    for (size_t i = 0; i < 100; i++) {
        world.is_down[i] = true;
    }
    read_page(OUTCOME_UNAVAILABLE);
    end_world();
}

/* ---- Cards that are fetched later ---- */

static void test_a_video_that_vanishes(void **state)
{
    (void)state;
    make_world(100);
    spread_videos(LIMIT);
    world.videos[LIMIT - 1].is_gone = true;
    struct video_page page = read_page(OUTCOME_OK);
    assert_false(page.partial);
    assert_int_equal(page.n, LIMIT - 1);
    assert_int_equal(page.next_time_ms, world.videos[LIMIT - 1].at_ms);
    for (size_t i = 0; i < LIMIT; i++) {
        world.videos[i].is_gone = true;
    }
    page = read_page(OUTCOME_OK); /* an empty page still leads to the next */
    assert_int_equal(page.n, 0);
    assert_int_equal(page.next_time_ms, world.videos[LIMIT - 1].at_ms);
    end_world();
}

static void test_a_shard_that_fails_before_the_cards(void **state)
{
    (void)state;
    make_world(100);
    spread_videos(LIMIT);
    world.cards_outcome = OUTCOME_UNAVAILABLE;
    struct video_page page = read_page(OUTCOME_OK);
    assert_true(page.partial);
    assert_int_equal(page.n, LIMIT - 1);
    assert_int_equal(page.videos[0].id, 2);
    world.cards_outcome = OUTCOME_INTERNAL;
    read_page(OUTCOME_INTERNAL);
    end_world();
}

/* ---- Equal times ---- */

/* 700 videos of the same time, most of them on one shard, make one page. */
static void test_a_large_group_of_equal_times(void **state)
{
    (void)state;
    make_world(8);
    arena_release(&arena);
    arena_init(&arena, (size_t)64 << 20);
    for (size_t i = 0; i < 800; i++) {
        world.videos[i] = (struct fake_video){.shard = i < 600 ? 0 : i % 8,
                                              .at_ms = i < 700 ? 5000 : 4000};
    }
    struct video_page page = read_page(OUTCOME_OK);
    assert_false(page.partial);
    assert_int_equal(page.n, 700);
    assert_int_equal(page.next_time_ms, 5000);
    assert_true(world.last_ask > 600);
    end_world();
}

/* A group of which a shard sent only a part waits for the next page. */
static void test_a_group_at_the_end(void **state)
{
    (void)state;
    make_world(1);
    for (size_t i = 0; i < 60; i++) {
        world.videos[i] = (struct fake_video){.at_ms = i < 20 ? 9000 - (int64_t)i : 5000};
    }
    struct video_page page = read_page(OUTCOME_OK);
    assert_newest(&page, 20);
    assert_int_equal(request.n_calls, 1);
    end_world();
}

static void test_page_length(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        int64_t times[8]; /* newest first; 0 ends the list */
        size_t limit;
        size_t length;
    } cases[] = {
        {"nothing", {0}, 3, 0},
        {"all fit", {9, 8, 7}, 3, 3},
        {"cut between times", {9, 8, 7, 6}, 3, 3},
        {"the group waits for the next page", {9, 8, 7, 7}, 3, 2},
        {"a long group waits too", {9, 7, 7, 7, 7, 6}, 3, 1},
        {"the group is the whole page", {7, 7, 7, 7, 7, 6}, 3, 5},
        {"the group is all there is", {7, 7, 7, 7}, 3, 4},
        {"a group that just fits", {7, 7, 7, 6}, 3, 3},
        {"a page of one", {9, 8}, 1, 1},
        {"a page of one with a group", {9, 9, 8}, 1, 2},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct feed_entry entries[8] = {{.id = 0}};
        size_t n = 0;
        while (n < 8 && cases[i].times[n] != 0) {
            entries[n].published_at_ms = cases[i].times[n];
            n++;
        }
        print_message("# %s\n", cases[i].what);
        assert_int_equal(feed_page_length(entries, n, cases[i].limit), cases[i].length);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_hundred_shards),
        cmocka_unit_test(test_a_hundred_full_answers),
        cmocka_unit_test(test_removed_shards_are_not_asked),
        cmocka_unit_test(test_up_to_eight_shards_send_cards),
        cmocka_unit_test(test_no_videos),
        cmocka_unit_test(test_an_unknown_generation_costs_one_map),
        cmocka_unit_test(test_fences_that_change_twice),
        cmocka_unit_test(test_an_own_slot_that_nobody_covers),
        cmocka_unit_test(test_own_slot_that_is_moving),
        cmocka_unit_test(test_a_slot_in_dispute),
        cmocka_unit_test(test_shards_that_are_down),
        cmocka_unit_test(test_a_video_that_vanishes),
        cmocka_unit_test(test_a_shard_that_fails_before_the_cards),
        cmocka_unit_test(test_a_large_group_of_equal_times),
        cmocka_unit_test(test_a_group_at_the_end),
        cmocka_unit_test(test_page_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
