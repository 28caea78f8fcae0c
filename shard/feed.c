/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Caller of procedures/feed/: the newest videos of all shards. */
#include "shard/feed.h"

#include <stdlib.h>

#include "shard/base/clock.h"

#include "shard/cards.h"
#include "shard/id.h"
#include "shard/router_call.h"
#include "shard/router_scatter.h"

/* A slot that changes its owner while the shards are asked may be covered by none of
 * them: ask again, for so long. */
#define ASK_AGAIN_MS 500

#define WORD_BITS    64
#define SHARED_WORDS (SHARED_SLOTS / WORD_BITS)

/* What was gathered so far. */
struct gathering {
    struct router *router;
    struct call *call;
    size_t limit;
    struct router_share *shares; /* wanted: to be asked in this round */
    bool *has_failed;            /* per shard: it is not asked again */
    struct video_card *videos;   /* in call->arena */
    size_t n, room;
    uint64_t covered[SHARED_WORDS]; /* shared slots that some answer covered */
    int64_t floor_ms; /* older videos than this may be missing from what was gathered */
    size_t n_answers;
    enum outcome failure; /* of a shard that did not answer */
};

static bool reserve(struct gathering *g, size_t n)
{
    if (n <= g->room - g->n) {
        return true;
    }
    size_t room = 2 * (g->n + n);
    struct video_card *videos = arena_calloc(g->call->arena, room, sizeof *videos);
    if (videos == NULL) {
        return false;
    }
    for (size_t i = 0; i < g->n; i++) {
        videos[i] = g->videos[i];
    }
    g->videos = videos;
    g->room = room;
    return true;
}

/* Take over the two result sets of one shard: videos, and which slots they speak for. */
static bool take_share(struct gathering *g, const struct dbresult *rows)
{
    const struct dbresult *words = rows == NULL ? NULL : rows->next;

    if (words == NULL || !reserve(g, rows->n_rows)) {
        return false;
    }
    for (size_t row = 0; row < rows->n_rows; row++) {
        if (!cards_read_video(rows, row, &g->videos[g->n])) {
            return false;
        }
        g->n++;
    }
    if (rows->n_rows >= g->limit && rows->n_rows > 0) {
        int64_t last_ms = g->videos[g->n - 1].published_at_ms;
        g->floor_ms = last_ms > g->floor_ms ? last_ms : g->floor_ms;
    }
    for (size_t row = 0; row < words->n_rows; row++) {
        const struct dbvalue *word = dbresult_value(words, row, "word");
        const struct dbvalue *bits = dbresult_value(words, row, "bits");
        if (word == NULL || bits == NULL) {
            return false;
        }
        if (word->number < SHARED_WORDS) {
            g->covered[word->number] |= bits->number;
        }
    }
    return true;
}

/* Ask the wanted shards; one that fails, or whose answer does not fit any more, is not
 * asked again. */
static void ask_shards(struct gathering *g, int64_t before_ms)
{
    const struct dbarg args[] = {dbarg_number((uint64_t)before_ms),
                                 dbarg_number(g->limit)};
    size_t n_shards = router_n_shards(g->router);

    router_scatter(g->router, g->call, PROC_FEED_LIST, args, g->shares);
    for (size_t i = 0; i < n_shards; i++) {
        struct router_share *share = &g->shares[i];
        if (!share->wanted) {
            continue;
        }
        if (share->outcome == OUTCOME_OK && take_share(g, share->results)) {
            g->n_answers++;
            continue;
        }
        if (share->outcome == OUTCOME_OK) {
            call_explain(g->call,
                         "feed_list answered what does not fit or cannot be read");
            share->outcome = OUTCOME_INTERNAL;
        }
        g->has_failed[i] = true;
        g->failure = share->outcome;
    }
}

enum coverage { COVERAGE_FULL, COVERAGE_PARTIAL, COVERAGE_ASK_AGAIN };

/* Does every slot have an answer? One without whose shard did answer is just changing its
 * owner: that shard's map is read again, and whoever should have the slot is asked again.
 */
static enum coverage check_coverage(struct gathering *g)
{
    enum coverage coverage = COVERAGE_FULL;
    size_t n_shards = router_n_shards(g->router);

    for (size_t i = 0; i < n_shards; i++) {
        g->shares[i].wanted = false;
    }
    for (uint32_t slot = 0; slot < SHARED_SLOTS; slot++) {
        if (g->covered[slot / WORD_BITS] >> (slot % WORD_BITS) & 1) {
            continue;
        }
        size_t shard = router_slot_shard(g->router, slot);
        if (shard >= n_shards || g->has_failed[shard]) {
            coverage = coverage == COVERAGE_FULL ? COVERAGE_PARTIAL : coverage;
            continue;
        }
        if (!g->shares[shard].wanted) {
            g->shares[shard].wanted = true;
            router_look_again(g->router, shard);
        }
        coverage = COVERAGE_ASK_AGAIN;
    }
    return coverage;
}

/* Newest first; the id decides among equal times, so that the order is total. */
static int compare_videos(const void *a, const void *b)
{
    const struct video_card *left = a;
    const struct video_card *right = b;

    if (left->published_at_ms != right->published_at_ms) {
        return left->published_at_ms > right->published_at_ms ? -1 : 1;
    }
    return (left->id < right->id) - (left->id > right->id);
}

/* Sort, drop what two answers both brought, and what is below the floor. */
static void tidy(struct gathering *g)
{
    size_t kept = 0;

    if (g->n > 1) {
        qsort(g->videos, g->n, sizeof *g->videos, compare_videos);
    }
    for (size_t i = 0; i < g->n; i++) {
        bool is_double = kept > 0 && g->videos[kept - 1].id == g->videos[i].id;
        if (!is_double && g->videos[i].published_at_ms >= g->floor_ms) {
            g->videos[kept++] = g->videos[i];
        }
    }
    g->n = kept;
}

size_t feed_page_length(const struct video_card *videos, size_t n, size_t limit)
{
    if (n <= limit) {
        return n;
    }
    int64_t cut_ms = videos[limit].published_at_ms;
    size_t length = limit;
    while (length > 0 && videos[length - 1].published_at_ms == cut_ms) {
        length--;
    }
    if (length > 0) {
        return length;
    }
    while (length < n && videos[length].published_at_ms == cut_ms) {
        length++;
    }
    return length;
}

enum outcome feed_list(struct router *router, struct call *call, int64_t before_ms,
                       size_t limit, struct video_page *page)
{
    struct gathering g = {.router = router,
                          .call = call,
                          .limit = limit,
                          .floor_ms = INT64_MIN,
                          .failure = OUTCOME_UNAVAILABLE};
    size_t n_shards = router_n_shards(router);
    enum coverage coverage = COVERAGE_ASK_AGAIN;
    int64_t give_up_ms = clock_mono_ms() + ASK_AGAIN_MS;

    CHECK(limit > 0);
    g.shares = arena_calloc(call->arena, n_shards, sizeof *g.shares);
    g.has_failed = arena_calloc(call->arena, n_shards, sizeof *g.has_failed);
    if (g.shares == NULL || g.has_failed == NULL) {
        call_explain(call, "out of memory");
        return OUTCOME_NOMEM;
    }
    for (size_t i = 0; i < n_shards; i++) {
        g.shares[i].wanted = true;
    }
    for (unsigned round = 0; coverage == COVERAGE_ASK_AGAIN; round++) {
        if (round > 0 && (clock_mono_ms() >= give_up_ms || !router_pause(call, round))) {
            break;
        }
        ask_shards(&g, before_ms);
        tidy(&g);
        coverage = check_coverage(&g);
    }
    if (g.n_answers == 0) {
        return g.failure;
    }
    size_t n = feed_page_length(g.videos, g.n, limit);
    *page =
        (struct video_page){.videos = g.videos,
                            .n = n,
                            .next_time_ms = n > 0 ? g.videos[n - 1].published_at_ms : 0,
                            .partial = coverage != COVERAGE_FULL};
    return OUTCOME_OK;
}
