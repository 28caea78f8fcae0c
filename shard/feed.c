/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Caller of procedures/feed/: the newest videos of all shards. */
#include "shard/feed.h"

#include <stdlib.h>
#include <string.h>

#include "shard/base/clock.h"

#include "shard/cache.h"
#include "shard/cards.h"
#include "shard/id.h"
#include "shard/listing.h"
#include "shard/parts.h"
#include "shard/router_call.h"
#include "shard/router_scatter.h"

/* How long to ask again: a slot that changes its owner meanwhile may be in no shard's
 * answer. */
#define ASK_AGAIN_MS 500

/* Limit of videos to ask a shard for: no more can have the same time. */
#define ASK_MAX SLOTS_MAX

/* The answers gathered so far. */
struct gathering {
    struct router *router;
    struct call *call;
    const struct feed_query *query;
    size_t ask;                  /* most videos from one shard */
    size_t n_shards;             /* number of shards at the start */
    struct router_share *shares; /* `wanted`: ask it in this round */
    uint64_t *gens;              /* per shard: the generation named in its answer of this
                                  * round */
    bool *has_failed;            /* per shard: it is not asked again */
    struct feed_entry *entries;  /* in call->arena */
    size_t n, room;
    struct slotset *covered;  /* slots covered by an answer */
    struct slotset *disputed; /* slots whose videos are not shown */
    int64_t
        floor_ms; /* videos of this time or older may be missing from what was gathered */
    size_t n_answers;
    enum outcome failure;     /* of a shard that did not answer */
    struct cache_since since; /* taken before any shard was asked */
};

static bool reserve(struct gathering *g, size_t n)
{
    if (n <= g->room - g->n) {
        return true;
    }
    size_t room = 2 * (g->n + n);
    struct feed_entry *entries = arena_calloc(g->call->arena, room, sizeof *entries);
    if (entries == NULL) {
        return false;
    }
    if (g->n > 0) {
        memcpy(entries, g->entries, g->n * sizeof *entries);
    }
    g->entries = entries;
    g->room = room;
    return true;
}

static const struct dbfield entry_fields[] = {
    {.column = "video_id",
     .kind = DBFIELD_U64,
     .offset = offsetof(struct feed_entry, id)},
    {.column = "published_at",
     .kind = DBFIELD_I64,
     .offset = offsetof(struct feed_entry, published_at_ms)},
};

/* Take one shard's answer: videos, and the generation of its fences. */
static bool take_share(struct gathering *g, const struct dbresult *rows, uint64_t *gen)
{
    const struct dbvalue *named =
        rows == NULL ? NULL : dbresult_value(rows->next, 0, "gen");

    if (named == NULL || !reserve(g, rows->n_rows)) {
        return false;
    }
    *gen = named->number;
    for (size_t row = 0; row < rows->n_rows; row++) {
        struct feed_entry *entry = &g->entries[g->n++];
        *entry = (struct feed_entry){.rows = rows, .row = row};
        if (!dbresult_read(rows, row, entry_fields, ARRAY_LEN(entry_fields), entry)) {
            return false;
        }
    }
    if (rows->n_rows >= g->ask) {
        int64_t last_ms = g->entries[g->n - 1].published_at_ms;
        g->floor_ms = last_ms > g->floor_ms ? last_ms : g->floor_ms;
    }
    return true;
}

/* Ask the wanted shards; one that fails, or whose answer no longer fits, is not asked
 * again. */
static void ask_shards(struct gathering *g)
{
    const struct dbarg args[] = {dbarg_number((uint64_t)g->query->before_ms),
                                 dbarg_number(g->ask)};
    size_t n_shards = g->n_shards;
    enum proc_id proc = g->query->ids_first ? PROC_FEED_IDS : PROC_FEED_LIST;

    router_scatter(g->router, g->call, proc, args, g->shares, n_shards);
    for (size_t i = 0; i < n_shards; i++) {
        struct router_share *share = &g->shares[i];
        g->gens[i] = 0;
        if (!share->wanted) {
            continue;
        }
        if (share->outcome == OUTCOME_OK && take_share(g, share->results, &g->gens[i])) {
            g->n_answers++;
            continue;
        }
        if (share->outcome == OUTCOME_OK) {
            share->outcome = proc_unreadable(g->call, proc);
        }
        g->has_failed[i] = true;
        g->failure = share->outcome;
    }
}

/* Find out which slots the answers of this round cover. If a shard names an unknown
 * generation, its map is read, once. */
static void judge_answers(struct gathering *g)
{
    size_t n_shards = g->n_shards;
    bool is_any_unknown = false;

    for (size_t i = 0; i < n_shards; i++) {
        g->shares[i].wanted =
            g->gens[i] != 0 && !router_covers(g->router, i, g->gens[i], g->covered);
        is_any_unknown |= g->shares[i].wanted;
    }
    if (is_any_unknown) {
        router_read_maps(g->router, g->call, g->shares, n_shards);
    }
    for (size_t i = 0; i < n_shards; i++) {
        if (g->shares[i].wanted) {
            router_covers(g->router, i, g->gens[i], g->covered);
        }
    }
}

enum coverage_state { COVERAGE_FULL, COVERAGE_PARTIAL, COVERAGE_ASK_AGAIN };

/* Does every slot have an answer? A slot without one although its shard did answer is
 * just changing its owner: that shard's map is read again, and the shard that should have
 * the slot is asked again. Answers about a slot that two shards claim do not count. */
static enum coverage_state check_coverage(struct gathering *g)
{
    enum coverage_state state = COVERAGE_FULL;
    size_t n_shards = g->n_shards;
    struct slotset all;

    for (size_t i = 0; i < n_shards; i++) {
        g->shares[i].wanted = false;
    }
    router_all_slots(g->router, &all, g->disputed);
    slotset_remove_all(g->covered, g->disputed);
    for (uint32_t slot = 0; (slot = slotset_next(&all, g->covered, slot)) < SLOTS_MAX;
         slot++) {
        size_t shard = router_slot_shard(g->router, slot);
        if (shard >= n_shards || g->has_failed[shard]) {
            state = state == COVERAGE_FULL ? COVERAGE_PARTIAL : state;
            continue;
        }
        if (!g->shares[shard].wanted) {
            g->shares[shard].wanted = true;
            router_look_again(g->router, shard);
        }
        state = COVERAGE_ASK_AGAIN;
    }
    return state;
}

/* Newest first; the id decides among equal times, so that the order is total. */
static int compare_entries(const void *a, const void *b)
{
    const struct feed_entry *left = a;
    const struct feed_entry *right = b;

    if (left->published_at_ms != right->published_at_ms) {
        return left->published_at_ms > right->published_at_ms ? -1 : 1;
    }
    return (left->id < right->id) - (left->id > right->id);
}

/* Sort, and drop duplicates, videos not above the floor, and those of slots that nobody
 * serves. */
static void tidy(struct gathering *g)
{
    size_t kept = 0;

    if (g->n > 1) {
        qsort(g->entries, g->n, sizeof *g->entries, compare_entries);
    }
    for (size_t i = 0; i < g->n; i++) {
        bool is_double = kept > 0 && g->entries[kept - 1].id == g->entries[i].id;
        if (!is_double && g->entries[i].published_at_ms > g->floor_ms &&
            !slotset_has(g->disputed, id_slot(g->entries[i].id))) {
            g->entries[kept++] = g->entries[i];
        }
    }
    g->n = kept;
}

size_t feed_page_length(const struct feed_entry *entries, size_t n, size_t limit)
{
    if (n <= limit) {
        return n;
    }
    int64_t cut_ms = entries[limit].published_at_ms;
    size_t length = limit;
    while (length > 0 && entries[length - 1].published_at_ms == cut_ms) {
        length--;
    }
    if (length > 0) {
        return length;
    }
    while (length < n && entries[length].published_at_ms == cut_ms) {
        length++;
    }
    return length;
}

static bool prepare(struct gathering *g)
{
    struct arena *arena = g->call->arena;
    size_t n_shards = router_n_shards(g->router);

    g->n_shards = n_shards;
    g->shares = arena_calloc(arena, n_shards, sizeof *g->shares);
    g->gens = arena_calloc(arena, n_shards, sizeof *g->gens);
    g->has_failed = arena_calloc(arena, n_shards, sizeof *g->has_failed);
    g->covered = arena_alloc(arena, sizeof *g->covered);
    g->disputed = arena_alloc(arena, sizeof *g->disputed);
    return g->shares != NULL && g->gens != NULL && g->has_failed != NULL &&
           g->covered != NULL && g->disputed != NULL;
}

/* Ask all shards for g->ask videos, until every slot has an answer or will get none. */
static enum coverage_state gather(struct gathering *g)
{
    enum coverage_state state = COVERAGE_ASK_AGAIN;
    int64_t give_up_ms = clock_mono_ms() + ASK_AGAIN_MS;

    g->n = 0;
    g->floor_ms = INT64_MIN;
    *g->covered = (struct slotset){.words = {0}};
    for (size_t i = 0; i < g->n_shards; i++) {
        g->shares[i].wanted = !g->has_failed[i] && router_has_shard(g->router, i);
    }
    for (unsigned round = 0; state == COVERAGE_ASK_AGAIN; round++) {
        if (round > 0 &&
            (clock_mono_ms() >= give_up_ms || !router_pause(g->call, round))) {
            break;
        }
        ask_shards(g);
        judge_answers(g);
        state = check_coverage(g);
        tidy(g);
    }
    return state;
}

/* Some shard has more videos of the newest time than it was asked for. */
static bool is_too_few(const struct gathering *g)
{
    return g->n == 0 && g->floor_ms != INT64_MIN && g->ask < ASK_MAX;
}

/* Read the cards of the first N entries that came with the answers. */
static enum outcome read_cards(struct gathering *g, size_t n, struct video_card *cards)
{
    for (size_t i = 0; i < n; i++) {
        const struct feed_entry *entry = &g->entries[i];
        if (!cards_read_video(entry->rows, entry->row, &cards[i])) {
            return proc_unreadable(g->call, PROC_FEED_LIST);
        }
        parts_offer_video(g->router, &g->since, entry->rows, entry->row);
    }
    return OUTCOME_OK;
}

/* The cards of the first N entries, asked for now; those of videos that are gone have id
 * 0. */
static enum outcome fetch_cards(struct gathering *g, size_t n, struct video_card *cards)
{
    uint64_t *ids = arena_calloc(g->call->arena, n, sizeof *ids);

    if (ids == NULL) {
        return call_no_memory(g->call);
    }
    for (size_t i = 0; i < n; i++) {
        ids[i] = g->entries[i].id;
    }
    return video_get(g->router, g->call, ids, n, cards);
}

/* Make a page of the gathered entries. */
static enum outcome make_page(struct gathering *g, bool is_partial,
                              struct video_page *page)
{
    size_t n = feed_page_length(g->entries, g->n, g->query->limit);
    struct video_card *cards = arena_calloc(g->call->arena, n, sizeof *cards);
    size_t kept = 0;

    if (cards == NULL) {
        return call_no_memory(g->call);
    }
    enum outcome outcome =
        g->query->ids_first ? fetch_cards(g, n, cards) : read_cards(g, n, cards);
    if (outcome != OUTCOME_OK && !listing_may_be_partial(outcome)) {
        return outcome;
    }
    for (size_t i = 0; i < n; i++) {
        if (cards[i].id != 0) {
            cards[kept++] = cards[i];
        }
    }
    *page =
        (struct video_page){.videos = cards,
                            .n = kept,
                            .next_time_ms = n > 0 ? g->entries[n - 1].published_at_ms : 0,
                            .partial = is_partial || outcome != OUTCOME_OK};
    return OUTCOME_OK;
}

enum outcome feed_read(struct router *router, struct call *call,
                       const struct feed_query *query, struct video_page *page)
{
    struct gathering g = {.router = router,
                          .call = call,
                          .query = query,
                          .ask = query->limit + 1,
                          .since = cache_since(router_cache(router)),
                          .failure = OUTCOME_UNAVAILABLE};

    CHECK(query->limit > 0 && query->limit < ASK_MAX);
    if (!prepare(&g)) {
        return call_no_memory(call);
    }
    enum coverage_state state = gather(&g);
    while (is_too_few(&g)) {
        g.ask = g.ask < ASK_MAX / 8 ? g.ask * 8 : ASK_MAX;
        state = gather(&g);
    }
    return g.n_answers == 0 ? g.failure : make_page(&g, state != COVERAGE_FULL, page);
}

enum outcome feed_list(struct router *router, struct call *call, int64_t before_ms,
                       size_t limit, struct video_page *page)
{
    const struct feed_query query = {.before_ms = before_ms,
                                     .limit = limit,
                                     .ids_first =
                                         router_n_shards(router) > FEED_CARDS_SHARDS_MAX};
    return feed_read(router, call, &query, page);
}
