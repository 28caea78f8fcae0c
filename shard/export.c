/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The exporter: the rows of a user, and the texts of the user's comments. */
#include "shard/export.h"

#include <string.h>

#include "shard/ops.h"
#include "shard/router_call.h"

/* Items of a page: the texts of its comments go into one batch. */
#define PAGE_ITEMS OPS_MAX

static const char *const part_names[EXPORT_PART__COUNT] = {
    [EXPORT_PROFILE] = "profile",     [EXPORT_SESSIONS] = "sessions",
    [EXPORT_VIDEOS] = "videos",       [EXPORT_FOLLOWS] = "follows",
    [EXPORT_FOLLOWERS] = "followers", [EXPORT_FAVORITES] = "favorites",
    [EXPORT_COMMENTS] = "comments",   [EXPORT_MESSAGES] = "messages",
};

const char *export_part_name(enum export_part part)
{
    return part_names[part];
}

/* One row of user_export_page; the keys of a comment are video and comment. */
struct item_row {
    uint64_t key[2];
    const char *item;
};

static const struct dbfield item_fields[] = {
    {.column = "k1", .kind = DBFIELD_U64, .offset = offsetof(struct item_row, key[0])},
    {.column = "k2", .kind = DBFIELD_U64, .offset = offsetof(struct item_row, key[1])},
    {.column = "item", .kind = DBFIELD_TEXT, .offset = offsetof(struct item_row, item)},
};

/* The rows of RESULT in ROWS, which has room for them; *N of them. False: they cannot be
 * read. */
static bool read_rows(const struct dbresult *result, struct item_row *rows, size_t *n)
{
    const struct dbvalue *first = dbresult_value(result, 0, "k1");

    *n = 0;
    if (first == NULL || first->is_null) {
        return first != NULL && result->n_rows == 1;
    }
    for (size_t i = 0; i < result->n_rows; i++) {
        if (!dbresult_read(result, i, item_fields, ARRAY_LEN(item_fields), &rows[i])) {
            return false;
        }
    }
    *n = result->n_rows;
    return true;
}

static enum outcome read_text(struct call *call, const struct router_answer *answer,
                              const char **text)
{
    *text = NULL;
    if (answer->outcome == OUTCOME_NOTFOUND) {
        return OUTCOME_OK; /* it was deleted, here, or since then at its video */
    }
    if (answer->outcome != OUTCOME_OK) {
        return answer->outcome;
    }
    const struct dbvalue *value = dbresult_value(answer->result, answer->row, "text");
    if (value == NULL || value->text == NULL) {
        return proc_unreadable(call, PROC_COMMENT_EXPORT);
    }
    *text = value->text;
    return OUTCOME_OK;
}

/* The texts of the N comments in ROWS, from the shards of their videos. */
static enum outcome read_texts(struct router *router, struct call *call, uint64_t user_id,
                               const struct item_row *rows, size_t n,
                               struct export_item *items)
{
    struct router_answer *answers = arena_calloc(call->arena, n, sizeof *answers);
    struct ops *ops = ops_new();
    enum outcome outcome = OUTCOME_OK;

    if (answers == NULL || ops == NULL) {
        ops_free(&ops);
        return call_no_memory(call);
    }
    for (size_t i = 0; i < n; i++) {
        ops_add_owner(ops, rows[i].key[0]);
        ops_number(ops, "user", (int64_t)user_id);
        ops_number(ops, "comment_id", (int64_t)rows[i].key[1]);
    }
    router_batch(router, call, PROC_COMMENT_EXPORT, ops, answers);
    ops_free(&ops);
    for (size_t i = 0; i < n && outcome == OUTCOME_OK; i++) {
        outcome = read_text(call, &answers[i], &items[i].text);
    }
    return outcome;
}

enum outcome export_read(struct router *router, struct call *call, uint64_t user_id,
                         struct export_place *place, struct export_page *page)
{
    CHECK(place->part < EXPORT_PART__COUNT);
    const char *part = part_names[place->part];
    const struct dbarg args[] = {dbarg_number(user_id), dbarg_text(part, strlen(part)),
                                 dbarg_number(place->after[0]),
                                 dbarg_number(place->after[1]), dbarg_number(PAGE_ITEMS)};
    struct router_answer answer;
    size_t n;

    router_owner(router, call, PROC_USER_EXPORT_PAGE,
                 (struct router_subject){.owner = user_id}, args, &answer);
    if (answer.outcome != OUTCOME_OK) {
        return answer.outcome;
    }
    struct item_row *rows =
        arena_calloc(call->arena, answer.result->n_rows, sizeof *rows);
    struct export_item *items =
        arena_calloc(call->arena, answer.result->n_rows, sizeof *items);
    if (rows == NULL || items == NULL) {
        return call_no_memory(call);
    }
    if (!read_rows(answer.result, rows, &n)) {
        return proc_unreadable(call, PROC_USER_EXPORT_PAGE);
    }
    for (size_t i = 0; i < n; i++) {
        items[i].json = rows[i].item;
    }
    if (place->part == EXPORT_COMMENTS && n > 0) {
        enum outcome outcome = read_texts(router, call, user_id, rows, n, items);
        if (outcome != OUTCOME_OK) {
            return outcome;
        }
    }
    *page = (struct export_page){.items = items, .n = n};
    if (n < PAGE_ITEMS) {
        *place = (struct export_place){.part = place->part + 1};
    } else {
        memcpy(place->after, rows[n - 1].key, sizeof place->after);
    }
    return OUTCOME_OK;
}
