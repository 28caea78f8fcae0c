/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The users that a user follows and the videos that they like, as far as the cache keeps
 * them. */
#include "shard/viewer_sets.h"

#include <stdlib.h>
#include <string.h>

#include "shard/base/le64.h"

#include "shard/router_call.h"

/* A kept value has: the number of users, the users, the videos. */

static int compare(const void *a, const void *b)
{
    uint64_t left = le64_read(a);
    uint64_t right = le64_read(b);

    return (left > right) - (left < right);
}

static bool read_sets(const char *bytes, size_t len, struct viewer_sets *sets)
{
    *sets = (struct viewer_sets){.n_users = 0};
    if (len == 0) {
        return true; /* there is no such user */
    }
    if (len % LE64_BYTES != 0 || le64_read(bytes) > len / LE64_BYTES - 1) {
        return false;
    }
    sets->n_users = (size_t)le64_read(bytes);
    sets->users = bytes + LE64_BYTES;
    sets->videos = sets->users + sets->n_users * LE64_BYTES;
    sets->n_videos = len / LE64_BYTES - 1 - sets->n_users;
    return true;
}

static enum viewer_answer ask_set(const char *ids, size_t n, uint64_t id)
{
    char wanted[LE64_BYTES];

    le64_write(wanted, id);
    if (n > 0 && bsearch(wanted, ids, n, LE64_BYTES, compare) != NULL) {
        return VIEWER_YES;
    }
    return n < VIEWER_SET_MAX ? VIEWER_NO : VIEWER_PERHAPS;
}

enum viewer_answer viewer_sets_follows(const struct viewer_sets *sets, uint64_t user_id)
{
    return ask_set(sets->users, sets->n_users, user_id);
}

enum viewer_answer viewer_sets_likes(const struct viewer_sets *sets, uint64_t video_id)
{
    return ask_set(sets->videos, sets->n_videos, video_id);
}

/* ---- From the shard ---- */

struct loading {
    struct router *router;
    struct call *call;
};

/* Append the ids of the rows of KIND, sorted; returns how many, SIZE_MAX when they cannot
 * be read. */
static size_t add_ids(const struct dbresult *rows, const char *kind, char *bytes)
{
    size_t n = 0;

    for (size_t row = 0; row < rows->n_rows; row++) {
        const struct dbvalue *is = dbresult_value(rows, row, "kind");
        const struct dbvalue *id = dbresult_value(rows, row, "id");
        if (is == NULL || id == NULL) {
            return SIZE_MAX;
        }
        if (is->text != NULL && strcmp(is->text, kind) == 0) {
            le64_write(bytes + n++ * LE64_BYTES, id->number);
        }
    }
    qsort(bytes, n, LE64_BYTES, compare);
    return n;
}

static enum outcome take_rows(struct call *call, const struct dbresult *rows,
                              struct cache_item *item)
{
    const struct dbvalue *ver = dbresult_value(rows, 0, "edge_ver");
    char *bytes = arena_calloc(call->arena, rows->n_rows + 1, LE64_BYTES);

    if (bytes == NULL || ver == NULL || ver->is_null) {
        return proc_unreadable(call, PROC_VIEWER_SETS);
    }
    size_t n_users = add_ids(rows, "user", bytes + LE64_BYTES);
    size_t n_videos = n_users == SIZE_MAX
                          ? SIZE_MAX
                          : add_ids(rows, "video", bytes + (1 + n_users) * LE64_BYTES);
    if (n_videos == SIZE_MAX) {
        return proc_unreadable(call, PROC_VIEWER_SETS);
    }
    le64_write(bytes, n_users);
    item->ver = ver->number;
    item->data = bytes;
    item->len = (1 + n_users + n_videos) * LE64_BYTES;
    return OUTCOME_OK;
}

static enum outcome load(void *context, struct cache_item **items, size_t n)
{
    struct loading *loading = context;
    const struct dbarg args[] = {dbarg_number(items[0]->key.owner),
                                 dbarg_number(VIEWER_SET_MAX)};
    struct router_answer answer;

    CHECK(n == 1);
    router_owner(loading->router, loading->call, PROC_VIEWER_SETS,
                 (struct router_subject){.owner = items[0]->key.owner}, args, &answer);
    if (answer.outcome == OUTCOME_NOTFOUND) {
        items[0]->data = "";
        return OUTCOME_OK;
    }
    return answer.outcome == OUTCOME_OK
               ? take_rows(loading->call, answer.result, items[0])
               : answer.outcome;
}

enum outcome viewer_sets_get(struct router *router, struct call *call, uint64_t viewer_id,
                             struct viewer_sets *sets)
{
    struct loading loading = {.router = router, .call = call};
    const struct cache_reader reader = {
        .router = router, .call = call, .load = load, .context = &loading};
    struct cache_item item = {.key = {.kind = CACHE_SETS, .owner = viewer_id}};
    enum outcome outcome = cache_read(&reader, &item, 1);

    if (outcome == OUTCOME_OK &&
        (item.data == NULL || !read_sets(item.data, item.len, sets))) {
        return proc_unreadable(call, PROC_VIEWER_SETS);
    }
    return outcome;
}

bool viewer_sets_peek(struct cache *cache, struct arena *arena, uint64_t viewer_id,
                      struct viewer_sets *sets)
{
    struct cache_item item = {.key = {.kind = CACHE_SETS, .owner = viewer_id}};

    return cache_peek(cache, arena, &item) && read_sets(item.data, item.len, sets);
}
