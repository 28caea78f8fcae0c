/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Updates the caches from what CALLs that write answer about owners. */
#include <stdlib.h>
#include <string.h>

#include "shard/base/clock.h"

#include "shard/parts.h"

/* Limit of the bytes of changes that go together. */
#define CHANGES_BYTES 49152

struct learning {
    struct cache *cache;
    int64_t until_ms; /* for all of it */
    struct cache_change changes[CACHE_CHANGES_MAX];
    size_t n;
    char bytes[CHANGES_BYTES];
    size_t used;
};

/* Does PROC add or remove videos? */
static bool changes_timeline(enum proc_id proc)
{
    return proc == PROC_PUBLISH_ACTION || proc == PROC_PUBLISH_DELETE ||
           proc == PROC_ERASE_STEP;
}

/* A result set that describes owners: it has these columns. */
struct description {
    enum cache_kind kind;
    const char *id;
    const char *sign;     /* a column that identifies it */
    enum cache_kind list; /* a list of the owner that has its own version there */
    const char *list_ver; /* column; NULL: nothing */
};

static const struct description descriptions[] = {
    {CACHE_USER, "user_id", "edge_ver", CACHE_SETS, "edge_ver"},
    {CACHE_INBOUND, "user_id", "follower_ver", CACHE__COUNT, NULL},
    {CACHE_VIDEO, "video_id", "live", CACHE_COMMENTS, "comment_ver"},
};

static void flush(struct learning *learning)
{
    if (learning->n > 0) {
        cache_write(learning->cache, learning->changes, learning->n, learning->until_ms);
        learning->n = 0;
        learning->used = 0;
    }
}

/* Add a change of which only the version is known. */
static void add_marker(struct learning *learning, const struct copy_key *key,
                       uint64_t ver)
{
    if (learning->n == CACHE_CHANGES_MAX) {
        flush(learning);
    }
    learning->changes[learning->n++] = (struct cache_change){.key = *key, .ver = ver};
}

static void add(struct learning *learning, const struct copy_key *key,
                const struct part *part)
{
    if (learning->n == CACHE_CHANGES_MAX || part->len > CHANGES_BYTES - learning->used) {
        flush(learning);
    }
    char *bytes = learning->bytes + learning->used;
    memcpy(bytes, part->bytes, part->len);
    learning->used += part->len;
    learning->changes[learning->n++] = (struct cache_change){
        .key = *key, .ver = part->ver, .data = bytes, .len = part->len};
}

/* The deletion has raised the version of the owner, above the epoch of its slot; that of
 * the list may be from an earlier epoch. */
static uint64_t newest_ver(const struct dbresult *result, size_t row,
                           const struct dbvalue *list_ver)
{
    const struct dbvalue *ver = dbresult_value(result, row, "ver");

    return ver != NULL && ver->number > list_ver->number ? ver->number : list_ver->number;
}

/* A list is not in the answer, but its version is, so mark it. A deleted owner's list is
 * gone, too, with a version newer than any that it had. */
static void mark_list(struct learning *learning, const struct description *description,
                      const struct dbresult *result, size_t row)
{
    const struct dbvalue *live = dbresult_value(result, row, "live");
    const struct dbvalue *id = dbresult_value(result, row, description->id);
    const struct dbvalue *ver = description->list_ver == NULL
                                    ? NULL
                                    : dbresult_value(result, row, description->list_ver);

    if (id != NULL && !id->is_null && ver != NULL && !ver->is_null) {
        const struct copy_key key = {.kind = description->list, .owner = id->number};
        if (live != NULL && live->number == 0) {
            add(learning, &key, &(struct part){.ver = newest_ver(result, row, ver) + 1});
        } else {
            add_marker(learning, &key, ver->number);
        }
    }
}

static void learn_row(struct learning *learning, const struct description *description,
                      const struct dbresult *result, size_t row)
{
    const struct dbvalue *id = dbresult_value(result, row, description->id);
    struct part part;

    if (id != NULL && !id->is_null &&
        part_read(description->kind, PART_OF_WRITES, result, row, &part)) {
        const struct copy_key key = {.kind = description->kind, .owner = id->number};
        add(learning, &key, &part);
    }
    mark_list(learning, description, result, row);
}

static void learn_result(struct learning *learning, const struct dbresult *result)
{
    for (size_t i = 0; i < ARRAY_LEN(descriptions); i++) {
        if (dbresult_column(result, descriptions[i].sign) < 0) {
            continue;
        }
        for (size_t row = 0; row < result->n_rows; row++) {
            learn_row(learning, &descriptions[i], result, row);
        }
    }
}

void cache_learn(struct cache *cache, enum proc_id proc, const struct dbresult *results)
{
    static const struct copy_key timeline = {.kind = CACHE_TIMELINE};

    /* Out of memory nothing is updated, as if Redis had not answered. */
    struct learning *learning = malloc(sizeof *learning);

    if (learning == NULL) {
        return;
    }
    learning->cache = cache;
    learning->until_ms = clock_mono_ms() + CACHE_WRITE_MS;
    learning->n = 0;
    learning->used = 0;
    for (; results != NULL; results = results->next) {
        /* Result sets with a column n answer operations. */
        if (dbresult_column(results, "n") < 0) {
            learn_result(learning, results);
        }
    }
    if (changes_timeline(proc)) {
        add_marker(learning, &timeline, 0);
    }
    flush(learning);
    free(learning);
}
