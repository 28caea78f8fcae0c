/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Callers of the procedures in procedures/relation/: follows, followers, friends. */
#include "shard/relation.h"

#include "shard/edge.h"
#include "shard/listing.h"
#include "shard/router_call.h"

enum outcome relation_action(struct delivery *delivery, struct call *call,
                             uint64_t user_id, uint64_t target_id, bool follows)
{
    const struct edge edge = {.kind = HALF_FOLLOW,
                              .action = PROC_RELATION_ACTION,
                              .actor_id = user_id,
                              .target_id = target_id};

    CHECK(user_id != target_id);
    return edge_set(delivery, call, &edge, follows);
}

/* The last message in row ROW of relation_friend_list(). False: it cannot be read. */
static bool read_note(const struct dbresult *rows, size_t row, struct relation_note *note)
{
    const struct dbvalue *has_message = dbresult_value(rows, row, "has_message");
    const struct dbvalue *text = dbresult_value(rows, row, "last_text");
    const struct dbvalue *is_sent = dbresult_value(rows, row, "last_sent");

    *note = (struct relation_note){.text = ""};
    if (has_message == NULL || text == NULL || is_sent == NULL) {
        return false;
    }
    if (has_message->number == 1 && text->text != NULL) {
        *note =
            (struct relation_note){.text = text->text, .is_sent = is_sent->number == 1};
    }
    return true;
}

/* Limit of CALLs for one page. Each reads 2000 follows, among which there may be few
 * friends; a client without a cursor sees the friends among four times as many.
 */
#define ROUNDS_MAX 4

/* The part of a list read so far. */
struct found {
    uint64_t *ids;               /* room for a page */
    struct relation_note *notes; /* of friends, one per id */
    size_t n;
    uint64_t next_cursor; /* where to go on; after a round 0 means the end */
};

/* One CALL for what the page of QUERY still lacks. Changes FOUND only if it is OK.
 */
static enum outcome read_round(struct router *router, struct call *call,
                               const struct relation_query *query, struct found *found)
{
    static const enum proc_id procs[] = {
        [RELATION_FOLLOWS] = PROC_RELATION_FOLLOW_LIST,
        [RELATION_FOLLOWERS] = PROC_RELATION_FOLLOWER_LIST,
        [RELATION_FRIENDS] = PROC_RELATION_FRIEND_LIST,
    };
    const bool is_friends = query->kind == RELATION_FRIENDS;
    const struct listing_spec spec = {.routine = proc_get(procs[query->kind])->routine,
                                      .id = "peer_id",
                                      .cursor = "cursor",
                                      .scanned = is_friends ? "scanned_cursor" : NULL,
                                      .limit = query->limit - found->n};
    const struct dbarg args[] = {dbarg_number(query->user_id),
                                 dbarg_number(found->next_cursor),
                                 dbarg_number(listing_ask(spec.limit))};
    struct router_answer answer;
    struct listing listing;

    router_owner(router, call, procs[query->kind],
                 (struct router_subject){.owner = query->user_id}, args, &answer);
    if (answer.outcome != OUTCOME_OK) {
        return answer.outcome;
    }
    enum outcome outcome = listing_read(call, &spec, answer.result, &listing);
    if (outcome != OUTCOME_OK) {
        return outcome;
    }
    for (size_t i = 0; i < listing.n; i++) {
        found->ids[found->n + i] = listing.ids[i];
        if (is_friends && !read_note(listing.rows, i, &found->notes[found->n + i])) {
            call_explain(call, "%s answered what cannot be read", spec.routine);
            return OUTCOME_INTERNAL;
        }
    }
    found->n += listing.n;
    found->next_cursor = listing.next_cursor;
    return OUTCOME_OK;
}

/* Rounds until the page is full, the list at its end, or the limit reached. If a later
 * round fails, the rest is left to the next page. */
static enum outcome read_list(struct router *router, struct call *call,
                              const struct relation_query *query, struct found *found)
{
    for (unsigned round = 0; round < ROUNDS_MAX; round++) {
        enum outcome outcome = read_round(router, call, query, found);
        if (outcome != OUTCOME_OK && (round == 0 || !listing_may_be_partial(outcome))) {
            return outcome;
        }
        if (outcome != OUTCOME_OK || found->next_cursor == 0 ||
            found->n == query->limit) {
            break;
        }
    }
    return OUTCOME_OK;
}

/* Fill PAGE with the cards of FOUND; users that are gone are left out. */
static enum outcome fill_page(struct router *router, struct call *call,
                              const struct found *found, struct relation_page *page)
{
    struct user_card *cards = arena_calloc(call->arena, found->n, sizeof *cards);
    size_t kept = 0;

    if (cards == NULL) {
        return call_no_memory(call);
    }
    enum outcome outcome = user_get(router, call, found->ids, found->n, cards);
    if (outcome != OUTCOME_OK && !listing_may_be_partial(outcome)) {
        return outcome;
    }
    for (size_t i = 0; i < found->n; i++) {
        if (cards[i].id == 0) {
            continue;
        }
        if (found->notes != NULL) {
            found->notes[kept] = found->notes[i];
        }
        cards[kept++] = cards[i];
    }
    *page = (struct relation_page){.users = cards,
                                   .notes = found->notes,
                                   .n = kept,
                                   .next_cursor = found->next_cursor,
                                   .partial = outcome != OUTCOME_OK};
    return OUTCOME_OK;
}

enum outcome relation_list(struct router *router, struct call *call,
                           const struct relation_query *query, struct relation_page *page)
{
    const bool is_friends = query->kind == RELATION_FRIENDS;
    struct found found = {.next_cursor = query->cursor};

    found.ids = arena_calloc(call->arena, query->limit, sizeof *found.ids);
    if (is_friends) {
        found.notes = arena_calloc(call->arena, query->limit, sizeof *found.notes);
    }
    if (found.ids == NULL || (is_friends && found.notes == NULL)) {
        return call_no_memory(call);
    }
    enum outcome outcome = read_list(router, call, query, &found);
    return outcome == OUTCOME_OK ? fill_page(router, call, &found, page) : outcome;
}
