/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Callers of the procedures in procedures/favorite/. */
#include "shard/favorite.h"

#include "shard/edge.h"
#include "shard/listing.h"
#include "shard/router_call.h"

enum outcome favorite_action(struct delivery *delivery, struct call *call,
                             uint64_t user_id, uint64_t video_id, bool likes)
{
    const struct edge edge = {.kind = HALF_FAVORITE,
                              .action = PROC_FAVORITE_ACTION,
                              .actor_id = user_id,
                              .target_id = video_id};

    return edge_set(delivery, call, &edge, likes);
}

/* Fill PAGE with the cards of LISTING; videos that are gone are left out. */
static enum outcome fill_page(struct router *router, struct call *call,
                              const struct listing *listing, struct video_page *page)
{
    struct video_card *cards = arena_calloc(call->arena, listing->n, sizeof *cards);
    size_t kept = 0;

    if (cards == NULL) {
        return call_no_memory(call);
    }
    enum outcome outcome = video_get(router, call, listing->ids, listing->n, cards);
    if (outcome != OUTCOME_OK && !listing_may_be_partial(outcome)) {
        return outcome;
    }
    for (size_t i = 0; i < listing->n; i++) {
        if (cards[i].id != 0) {
            cards[kept++] = cards[i];
        }
    }
    *page = (struct video_page){.videos = cards,
                                .n = kept,
                                .next_cursor = listing->next_cursor,
                                .partial = outcome != OUTCOME_OK};
    return OUTCOME_OK;
}

enum outcome favorite_list(struct router *router, struct call *call, uint64_t user_id,
                           uint64_t cursor, size_t limit, struct video_page *page)
{
    const struct dbarg args[] = {dbarg_number(user_id), dbarg_number(cursor),
                                 dbarg_number(listing_ask(limit))};
    const struct listing_spec spec = {
        .routine = "favorite_list", .id = "video_id", .cursor = "cursor", .limit = limit};
    struct router_answer answer;
    struct listing listing;

    router_owner(router, call, PROC_FAVORITE_LIST,
                 (struct router_subject){.owner = user_id}, args, &answer);
    if (answer.outcome != OUTCOME_OK) {
        return answer.outcome;
    }
    enum outcome outcome = listing_read(call, &spec, answer.result, &listing);
    return outcome == OUTCOME_OK ? fill_page(router, call, &listing, page) : outcome;
}
