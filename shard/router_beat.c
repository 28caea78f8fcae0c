/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Detects old data by the shards' counters, and what others remember of them. */
#include "shard/router_beat.h"

#include <inttypes.h>
#include <string.h>

#include "shard/base/clock.h"

#include "shard/id.h"

/* Limit of all entries told to a shard at once. */
#define BEATS_BYTES ((size_t)256 * 128)

struct beat_row {
    const char *name;
    uint64_t beat;
    uint32_t own;
    uint32_t refused;
};

static const struct dbfield beat_fields[] = {
    {.column = "name", .kind = DBFIELD_TEXT, .offset = offsetof(struct beat_row, name)},
    {.column = "beat", .kind = DBFIELD_U64, .offset = offsetof(struct beat_row, beat)},
    {.column = "own", .kind = DBFIELD_U32, .offset = offsetof(struct beat_row, own)},
    {.column = "refused",
     .kind = DBFIELD_U32,
     .offset = offsetof(struct beat_row, refused)},
};

void beat_remember(struct shard *shard, uint64_t beat)
{
    uint_fast64_t known = atomic_load(&shard->beat);

    /* A shard that may lose acknowledged writes may lose its counter, too. */
    while (beat > known && !shard->durability_exempt &&
           !atomic_compare_exchange_weak(&shard->beat, &known, beat)) {
    }
}

bool beat_admit(struct shard *shard, uint64_t beat, bool is_refused, struct errmsg *err)
{
    uint64_t known = atomic_load(&shard->beat);

    if (beat >= known || is_refused) {
        return true;
    }
    return errmsg_set(err,
                      "its data is older than it was: it has counted to %" PRIu64
                      ", and others remember %" PRIu64 " (scripts/restore-shard.sh)",
                      beat, known);
}

/* Is the owner of every shared slot known? */
static bool is_map_known(struct slotmap *map)
{
    uint32_t slot = 0;

    while (slot < SHARED_SLOTS && slotmap_get(map, slot).epoch > 0) {
        slot++;
    }
    return slot == SHARED_SLOTS;
}

bool beats_settle(struct beats *beats, struct shard *shard, struct errmsg *err)
{
    struct slotmap *map = shard->router->map;

    if (beats->own > 0 || beats->is_refused) {
        return true;
    }
    if (!is_map_known(map)) {
        return atomic_load(&shard->beat) == 0 ||
               errmsg_set(err, "it has never counted, and others remember that it had: "
                               "whether it is new is known when all slots are");
    }
    if (slotmap_count(map, shard->index) == 0) {
        atomic_store(&shard->beat, 0);
        beats->is_new = true;
    }
    return true;
}

bool beats_read(struct beats *beats, struct shard *shard, const struct dbresult *rows)
{
    struct router *router = shard->router;
    struct beat_row row;

    *beats = (struct beats){.own = 0};
    for (size_t i = 0; i < rows->n_rows; i++) {
        if (!dbresult_read(rows, i, beat_fields, ARRAY_LEN(beat_fields), &row)) {
            return false;
        }
        unsigned index = router_server_index(router, row.name);
        if (row.own != 0) {
            beats->own = row.beat;
            beats->is_refused = row.refused != 0;
        } else if (index != SLOTMAP_FOREIGN) {
            beat_remember(shard_at(router, index), row.beat);
        }
    }
    return true;
}

void beats_await(struct shard *shard)
{
    struct router *router = shard->router;
    const struct timespec until =
        clock_timespec(clock_mono_ms() + router->connect_timeout_ms);

    pthread_mutex_lock(&shard->shared.mutex);
    bool was_heard = shard->shared.heard;
    shard->shared.heard = true;
    pthread_cond_broadcast(&shard->shared.cond);
    pthread_mutex_unlock(&shard->shared.mutex);
    for (size_t i = 0; !was_heard && i < atomic_load(&router->n_shards); i++) {
        struct shard *other = shard_at(router, i);
        int late = atomic_load(&other->is_removed);
        pthread_mutex_lock(&other->shared.mutex);
        while (!other->shared.heard && !other->shared.stop && late == 0) {
            late = pthread_cond_clockwait(&other->shared.cond, &other->shared.mutex,
                                          CLOCK_MONOTONIC, &until);
        }
        pthread_mutex_unlock(&other->shared.mutex);
    }
}

/* The counter of the shard NAME in ROWS; 0: none. */
static uint64_t remembered(const struct dbresult *rows, const char *name)
{
    struct beat_row row;

    for (size_t i = 0; i < rows->n_rows; i++) {
        if (dbresult_read(rows, i, beat_fields, ARRAY_LEN(beat_fields), &row) &&
            row.own == 0 && strcmp(row.name, name) == 0) {
            return row.beat;
        }
    }
    return 0;
}

void beats_compare(struct beats *beats, const struct shard *shard,
                   const struct dbresult *rows)
{
    const struct router *router = shard->router;

    buf_init(&beats->json, BEATS_BYTES);
    for (size_t i = 0; i < atomic_load(&router->n_shards); i++) {
        const struct shard *other = shard_at(router, i);
        uint64_t beat = other == shard && beats->is_new ? 0 : atomic_load(&other->beat);
        if (beat > (other == shard ? beats->own : remembered(rows, other->name))) {
            buf_addf(&beats->json, "%s{\"name\":\"%s\",\"beat\":%" PRIu64 "}",
                     beats->n++ == 0 ? "[" : ",", other->name, beat);
        }
    }
}
