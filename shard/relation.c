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
        *note = (struct relation_note){
            .text = text->text, .has_message = true, .is_sent = is_sent->number == 1};
    }
    return true;
}

/* Fill PAGE with the cards of LISTING, and notes for friends; users that are gone are
 * left out. */
static enum outcome fill_page(struct router *router, struct call *call,
                              enum relation_kind kind, const struct listing *listing,
                              struct relation_page *page)
{
    struct user_card *cards = arena_calloc(call->arena, listing->n, sizeof *cards);
    struct relation_note *notes = arena_calloc(call->arena, listing->n, sizeof *notes);
    size_t kept = 0;

    if (cards == NULL || notes == NULL) {
        call_explain(call, "out of memory");
        return OUTCOME_NOMEM;
    }
    enum outcome outcome = user_get(router, call, listing->ids, listing->n, cards);
    if (outcome != OUTCOME_OK && !listing_may_be_partial(outcome)) {
        return outcome;
    }
    for (size_t i = 0; i < listing->n; i++) {
        if (cards[i].id == 0) {
            continue;
        }
        if (kind == RELATION_FRIENDS && !read_note(listing->rows, i, &notes[kept])) {
            call_explain(call, "relation_friend_list answered what cannot be read");
            return OUTCOME_INTERNAL;
        }
        cards[kept++] = cards[i];
    }
    *page = (struct relation_page){.users = cards,
                                   .notes = kind == RELATION_FRIENDS ? notes : NULL,
                                   .n = kept,
                                   .next_cursor = listing->next_cursor,
                                   .partial = outcome != OUTCOME_OK};
    return OUTCOME_OK;
}

enum outcome relation_list(struct router *router, struct call *call,
                           const struct relation_query *query, struct relation_page *page)
{
    static const enum proc_id procs[] = {
        [RELATION_FOLLOWS] = PROC_RELATION_FOLLOW_LIST,
        [RELATION_FOLLOWERS] = PROC_RELATION_FOLLOWER_LIST,
        [RELATION_FRIENDS] = PROC_RELATION_FRIEND_LIST,
    };
    enum proc_id proc = procs[query->kind];
    const struct dbarg args[] = {dbarg_number(query->user_id),
                                 dbarg_number(query->cursor),
                                 dbarg_number(listing_ask(query->limit))};
    const struct listing_spec spec = {.routine = proc_get(proc)->routine,
                                      .id = "peer_id",
                                      .cursor = "cursor",
                                      .limit = query->limit};
    struct router_answer answer;
    struct listing listing;

    router_owner(router, call, proc, (struct router_subject){.owner = query->user_id},
                 args, &answer);
    if (answer.outcome != OUTCOME_OK) {
        return answer.outcome;
    }
    enum outcome outcome = listing_read(call, &spec, answer.result, &listing);
    return outcome == OUTCOME_OK ? fill_page(router, call, query->kind, &listing, page)
                                 : outcome;
}
