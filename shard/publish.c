/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Callers of the procedures in procedures/publish/ and procedures/video/. */
#include "shard/publish.h"

#include <string.h>

#include "shard/cards.h"
#include "shard/id.h"
#include "shard/listing.h"
#include "shard/router_call.h"

/* How often to look for an id for an author with a slot of their own. */
#define NUMBERS_MAX 3

/* An id for a new video of an author who has a slot of their own. OUTCOME_CONFLICT: there
 * is none. */
static enum outcome take_number(struct router *router, struct call *call,
                                const struct publish_action_args *args,
                                uint64_t *video_id)
{
    struct router_answer answer;
    struct ops *ops = ops_new();

    if (ops == NULL) {
        return call_no_memory(call);
    }
    ops_add(ops, id_slot(args->author_id), 0);
    ops_number(ops, "author", (int64_t)args->author_id);
    ops_hex(ops, "op", args->op, sizeof args->op);
    router_batch(router, call, PROC_PUBLISH_NUMBER, ops, &answer);
    ops_free(&ops);
    if (answer.outcome == OUTCOME_OK || answer.outcome == OUTCOME_SAME) {
        const struct dbvalue *id = dbresult_value(answer.result, answer.row, "video_id");
        if (id == NULL || !id_is_valid(id->number)) {
            return proc_unreadable(call, PROC_PUBLISH_NUMBER);
        }
        *video_id = id->number;
    }
    return answer.outcome;
}

/* List the video, under VIDEO_ID if that is not 0. */
static enum outcome list_video(struct router *router, struct call *call,
                               const struct publish_action_args *args, uint64_t video_id,
                               struct router_answer *answer)
{
    struct ops *ops = ops_new();

    if (ops == NULL) {
        return call_no_memory(call);
    }
    ops_add_owner(ops, args->author_id);
    ops_hex(ops, "op", args->op, sizeof args->op);
    ops_text(ops, "title", args->title);
    ops_text(ops, "media", args->media);
    ops_hex(ops, "sha256", args->sha256, sizeof args->sha256);
    ops_number(ops, "size_bytes", args->size_bytes);
    ops_number(ops, "duration_ms", args->duration_ms);
    ops_number(ops, "width", args->width);
    ops_number(ops, "height", args->height);
    if (video_id > 0) {
        ops_number(ops, "video_id", (int64_t)video_id);
    }
    router_batch(router, call, PROC_PUBLISH_ACTION, ops, answer);
    ops_free(&ops);
    return answer->outcome;
}

enum outcome publish_action(struct router *router, struct call *call,
                            const struct publish_action_args *args, uint64_t *video_id,
                            const char **media)
{
    struct router_answer answer = {.result = NULL};
    uint64_t number = 0;
    enum outcome outcome = list_video(router, call, args, number, &answer);

    /* Try again if the author is promoted or demoted just then. */
    for (unsigned i = 0; i < NUMBERS_MAX && outcome == OUTCOME_GAP; i++) {
        outcome = take_number(router, call, args, &number);
        if (outcome == OUTCOME_OK || outcome == OUTCOME_SAME ||
            outcome == OUTCOME_CONFLICT) {
            outcome = list_video(router, call, args, number, &answer);
        }
    }
    if (outcome == OUTCOME_OK || outcome == OUTCOME_SAME) {
        const struct dbvalue *id = dbresult_value(answer.result, answer.row, "video_id");
        const struct dbvalue *name = dbresult_value(answer.result, answer.row, "media");
        if (id == NULL || !id_is_valid(id->number) || name == NULL ||
            name->text == NULL) {
            return proc_unreadable(call, PROC_PUBLISH_ACTION);
        }
        *video_id = id->number;
        *media = name->text;
    }
    return outcome == OUTCOME_GAP ? OUTCOME_BUSY : outcome;
}

/* Read the videos of a list; a row without a video id says that there are none. */
static bool read_list(const struct dbresult *result, size_t limit,
                      struct video_page *page, struct arena *arena)
{
    page->videos = arena_calloc(arena, result->n_rows, sizeof *page->videos);
    if (page->videos == NULL) {
        return false;
    }
    for (size_t row = 0; row < result->n_rows && page->n < limit; row++) {
        const struct dbvalue *id = dbresult_value(result, row, "video_id");
        if (id == NULL) {
            return false;
        }
        if (id->is_null) {
            continue;
        }
        if (!cards_read_video(result, row, &page->videos[page->n])) {
            return false;
        }
        page->n++;
    }
    page->next_cursor = listing_has_more(result->n_rows, limit) && page->n > 0
                            ? page->videos[page->n - 1].id
                            : 0;
    return true;
}

enum outcome publish_list(struct router *router, struct call *call, uint64_t user_id,
                          uint64_t cursor, size_t limit, struct video_page *page)
{
    const struct dbarg args[] = {dbarg_number(user_id), dbarg_number(cursor),
                                 dbarg_number(listing_ask(limit))};
    struct router_answer answer;
    struct video_page read = {.n = 0};

    CHECK(limit > 0);
    router_owner(router, call, PROC_PUBLISH_LIST,
                 (struct router_subject){.owner = user_id}, args, &answer);
    if (answer.outcome != OUTCOME_OK) {
        return answer.outcome;
    }
    if (!read_list(answer.result, limit, &read, call->arena)) {
        return proc_unreadable(call, PROC_PUBLISH_LIST);
    }
    *page = read;
    return OUTCOME_OK;
}

enum outcome publish_delete(struct router *router, struct call *call, uint64_t user_id,
                            uint64_t video_id)
{
    struct router_answer answer;
    struct ops *ops = ops_new();

    if (ops == NULL) {
        return call_no_memory(call);
    }
    ops_add_owner(ops, video_id);
    ops_number(ops, "user", (int64_t)user_id);
    router_batch(router, call, PROC_PUBLISH_DELETE, ops, &answer);
    ops_free(&ops);
    return answer.outcome;
}
