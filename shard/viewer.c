/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The viewer's flags of what is shown: is_follow and is_favorite. */
#include "shard/viewer.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "shard/base/buf.h"

#include "shard/ops.h"
#include "shard/proc.h"
#include "shard/router_call.h"
#include "shard/viewer_sets.h"

/* Limit of ids of one kind for viewer_flags. */
#define CARDS_MAX 1000

/* An id in a JSON array, with its comma. */
#define ID_BYTES 17

/* The cards to mark; pointers into the caller's. */
struct sight {
    struct router *router;
    struct call *call;
    uint64_t viewer_id;
    struct user_card **users; /* in the arena, like videos */
    size_t n_users;
    struct video_card **videos;
    size_t n_videos;
};

/* The ids that viewer_flags answered. */
struct hits {
    uint64_t *users; /* in the arena, sorted; like videos */
    size_t n_users;
    uint64_t *videos;
    size_t n_videos;
};

/* Allocate the pointers; false when out of memory. */
static bool open_eyes(struct sight *sight, size_t n_users, size_t n_videos)
{
    CHECK(n_users <= CARDS_MAX && n_videos <= CARDS_MAX);
    sight->users = arena_calloc(sight->call->arena, n_users, sizeof(struct user_card *));
    sight->videos =
        arena_calloc(sight->call->arena, n_videos, sizeof(struct video_card *));
    return sight->users != NULL && sight->videos != NULL;
}

static void see_user(struct sight *sight, struct user_card *user)
{
    user->is_follow = false;
    sight->users[sight->n_users++] = user;
}

static void see_video(struct sight *sight, struct video_card *video)
{
    video->is_favorite = false;
    sight->videos[sight->n_videos++] = video;
    see_user(sight, &video->author);
}

static void add_id(struct buf *json, uint64_t id)
{
    buf_addf(json, "%s%" PRIu64, json->len > 1 ? "," : "", id);
}

static int compare_ids(const void *a, const void *b)
{
    const uint64_t *left = a;
    const uint64_t *right = b;

    return (*left > *right) - (*left < *right);
}

/* Sort the rows into HITS. False: they cannot be read. */
static bool read_hits(struct arena *arena, const struct dbresult *rows, struct hits *hits)
{
    hits->users = arena_calloc(arena, rows->n_rows, sizeof *hits->users);
    hits->videos = arena_calloc(arena, rows->n_rows, sizeof *hits->videos);
    if (hits->users == NULL || hits->videos == NULL) {
        return false;
    }
    for (size_t row = 0; row < rows->n_rows; row++) {
        const struct dbvalue *kind = dbresult_value(rows, row, "kind");
        const struct dbvalue *id = dbresult_value(rows, row, "id");
        if (kind == NULL || id == NULL) {
            return false;
        }
        if (kind->text != NULL && strcmp(kind->text, "user") == 0) {
            hits->users[hits->n_users++] = id->number;
        } else if (kind->text != NULL) {
            hits->videos[hits->n_videos++] = id->number;
        }
    }
    if (rows->n_rows > 1) {
        qsort(hits->users, hits->n_users, sizeof *hits->users, compare_ids);
        qsort(hits->videos, hits->n_videos, sizeof *hits->videos, compare_ids);
    }
    return true;
}

static bool is_hit(const uint64_t *ids, size_t n, uint64_t id)
{
    return n > 0 && bsearch(&id, ids, n, sizeof *ids, compare_ids) != NULL;
}

static void mark(const struct sight *sight, const struct hits *hits)
{
    for (size_t i = 0; i < sight->n_users; i++) {
        struct user_card *user = sight->users[i];
        user->is_follow = is_hit(hits->users, hits->n_users, user->id);
    }
    for (size_t i = 0; i < sight->n_videos; i++) {
        struct video_card *video = sight->videos[i];
        video->is_favorite = is_hit(hits->videos, hits->n_videos, video->id);
    }
}

/* Ask the viewer's shard with the two JSON arrays. */
static enum outcome ask_json(const struct sight *sight, const struct buf *users,
                             const struct buf *videos)
{
    const struct dbarg args[] = {dbarg_number(sight->viewer_id),
                                 dbarg_text(users->data, users->len),
                                 dbarg_text(videos->data, videos->len)};
    struct router_answer answer;
    struct hits hits = {.n_users = 0};

    router_owner(sight->router, sight->call, PROC_VIEWER_FLAGS,
                 (struct router_subject){.owner = sight->viewer_id}, args, &answer);
    if (answer.outcome != OUTCOME_OK) {
        return answer.outcome;
    }
    if (!read_hits(sight->call->arena, answer.result, &hits)) {
        return proc_unreadable(sight->call, PROC_VIEWER_FLAGS);
    }
    mark(sight, &hits);
    return OUTCOME_OK;
}

/* Ask the viewer's shard. */
static enum outcome ask(const struct sight *sight)
{
    struct buf users, videos;
    enum outcome outcome = OUTCOME_OK;

    buf_init(&users, (sight->n_users + 1) * ID_BYTES);
    buf_init(&videos, (sight->n_videos + 1) * ID_BYTES);
    buf_addf(&users, "[");
    buf_addf(&videos, "[");
    for (size_t i = 0; i < sight->n_users; i++) {
        add_id(&users, sight->users[i]->id);
    }
    for (size_t i = 0; i < sight->n_videos; i++) {
        add_id(&videos, sight->videos[i]->id);
    }
    buf_addf(&users, "]");
    buf_addf(&videos, "]");
    if (users.failed || videos.failed) {
        outcome = call_no_memory(sight->call);
    } else {
        outcome = ask_json(sight, &users, &videos);
    }
    buf_clear(&users);
    buf_clear(&videos);
    return outcome;
}

/* Mark what the viewer's sets know, and leave the rest in SIGHT. */
static void mark_known(struct sight *sight, const struct viewer_sets *sets)
{
    size_t n_users = sight->n_users;
    size_t n_videos = sight->n_videos;

    sight->n_users = 0;
    sight->n_videos = 0;
    for (size_t i = 0; i < n_users; i++) {
        enum viewer_answer answer = viewer_sets_follows(sets, sight->users[i]->id);
        sight->users[i]->is_follow = answer == VIEWER_YES;
        if (answer == VIEWER_PERHAPS) {
            sight->users[sight->n_users++] = sight->users[i];
        }
    }
    for (size_t i = 0; i < n_videos; i++) {
        enum viewer_answer answer = viewer_sets_likes(sets, sight->videos[i]->id);
        sight->videos[i]->is_favorite = answer == VIEWER_YES;
        if (answer == VIEWER_PERHAPS) {
            sight->videos[sight->n_videos++] = sight->videos[i];
        }
    }
}

static enum outcome look(struct sight *sight)
{
    struct viewer_sets sets;

    if (sight->viewer_id == 0 || sight->n_users + sight->n_videos == 0) {
        return OUTCOME_OK;
    }
    if (router_cache(sight->router) != NULL) {
        enum outcome outcome =
            viewer_sets_get(sight->router, sight->call, sight->viewer_id, &sets);
        if (outcome != OUTCOME_OK) {
            return outcome;
        }
        mark_known(sight, &sets);
    }
    return sight->n_users + sight->n_videos == 0 ? OUTCOME_OK : ask(sight);
}

/* One user, by a batch procedure, so that several requests go in one CALL. */
static enum outcome mark_user(struct router *router, struct call *call,
                              uint64_t viewer_id, struct user_card *user)
{
    struct ops *ops = ops_new();
    struct router_answer answer;

    user->is_follow = false;
    if (ops != NULL) {
        ops_add_owner(ops, viewer_id);
        ops_number(ops, "target", (int64_t)user->id);
    }
    enum outcome outcome = router_one(router, call, PROC_RELATION_GET, ops, &answer);
    if (outcome == OUTCOME_OK) {
        const struct dbvalue *state = dbresult_value(answer.result, answer.row, "state");
        if (state == NULL) {
            return proc_unreadable(call, PROC_RELATION_GET);
        }
        user->is_follow = state->number == 1;
    }
    return outcome;
}

enum outcome viewer_mark_users(struct router *router, struct call *call,
                               uint64_t viewer_id, struct user_card *users, size_t n)
{
    struct sight sight = {.router = router, .call = call, .viewer_id = viewer_id};

    if (n == 1 && viewer_id != 0 && router_cache(router) == NULL) {
        return mark_user(router, call, viewer_id, &users[0]);
    }
    if (!open_eyes(&sight, n, 0)) {
        return call_no_memory(call);
    }
    for (size_t i = 0; i < n; i++) {
        see_user(&sight, &users[i]);
    }
    return look(&sight);
}

enum outcome viewer_mark_videos(struct router *router, struct call *call,
                                uint64_t viewer_id, struct video_card *videos, size_t n)
{
    struct sight sight = {.router = router, .call = call, .viewer_id = viewer_id};

    if (!open_eyes(&sight, n, n)) {
        return call_no_memory(call);
    }
    for (size_t i = 0; i < n; i++) {
        see_video(&sight, &videos[i]);
    }
    return look(&sight);
}

enum outcome viewer_mark_comments(struct router *router, struct call *call,
                                  uint64_t viewer_id, struct comment *comments, size_t n)
{
    struct sight sight = {.router = router, .call = call, .viewer_id = viewer_id};

    if (!open_eyes(&sight, n, 0)) {
        return call_no_memory(call);
    }
    for (size_t i = 0; i < n; i++) {
        see_user(&sight, &comments[i].author);
    }
    return look(&sight);
}

/* ---- From this process's memory ---- */

/* False: the set does not know. */
static bool recall(enum viewer_answer answer, bool *flag)
{
    *flag = answer == VIEWER_YES;
    return answer != VIEWER_PERHAPS;
}

bool viewer_recall_users(struct cache *cache, struct arena *arena, uint64_t viewer_id,
                         struct user_card *users, size_t n)
{
    struct viewer_sets sets;
    bool is_known = viewer_sets_peek(cache, arena, viewer_id, &sets);

    for (size_t i = 0; is_known && i < n; i++) {
        is_known = recall(viewer_sets_follows(&sets, users[i].id), &users[i].is_follow);
    }
    return is_known;
}

bool viewer_recall_videos(struct cache *cache, struct arena *arena, uint64_t viewer_id,
                          struct video_card *videos, size_t n)
{
    struct viewer_sets sets;
    bool is_known = viewer_sets_peek(cache, arena, viewer_id, &sets);

    for (size_t i = 0; is_known && i < n; i++) {
        struct user_card *author = &videos[i].author;
        is_known = recall(viewer_sets_follows(&sets, author->id), &author->is_follow) &&
                   recall(viewer_sets_likes(&sets, videos[i].id), &videos[i].is_favorite);
    }
    return is_known;
}
