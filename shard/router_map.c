/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Compares a shard's slot_map() with the map of this process. */
#include "shard/router_map.h"

#include <stdio.h>
#include <string.h>

#include "shard/base/log.h"

/* Limit of slots in one slot_learn(); the rest goes with the next one. */
#define LEARN_MAX   1000
#define LEARN_BYTES ((size_t)LEARN_MAX * 128)

/* One row: EPOCH and SERVER are the newest that the shard has heard of. */
struct map_row {
    uint32_t slot;
    uint64_t epoch;
    const char *server;
    const char *answer;
    uint64_t claim_epoch; /* of the shard's own claim; 0: it has none */
    const char *token;    /* of the flip by which it gave the slot away; "": none */
};

/* A count of slots, of which the first is named. */
struct tally {
    unsigned n;
    uint32_t first; /* slot */
};

struct comparison {
    struct shard *shard;
    struct map_news *news;
    struct tally disputed;
    struct tally settled;
    struct shard_hearsay hearsay;
};

void lesson_init(struct lesson *lesson)
{
    *lesson = (struct lesson){.n = 0};
    buf_init(&lesson->json, LEARN_BYTES);
}

static void count(struct tally *tally, uint32_t slot)
{
    tally->first = tally->n++ == 0 ? slot : tally->first;
}

/* Add to the lesson that SLOT is at PLACE; with is_claimed its server says so itself. */
static void teach(struct comparison *c, uint32_t slot, struct slot_place place)
{
    struct lesson *lesson = &c->news->lesson;

    if (place.epoch > 0 && (place.server != SLOTMAP_FOREIGN || place.is_empty) &&
        lesson->n < LEARN_MAX) {
        buf_addf(&lesson->json,
                 "%s{\"slot\":%u,\"epoch\":%llu,\"server\":\"%s\",\"claimed\":%d}",
                 lesson->n++ == 0 ? "[" : ",", slot, (unsigned long long)place.epoch,
                 place.is_empty ? "" : shard_at(c->shard->router, place.server)->name,
                 place.is_claimed);
    }
}

static void teach_place(struct comparison *c, uint32_t slot)
{
    teach(c, slot, slotmap_get(c->shard->router->map, slot));
}

/* Was the shard's own claim stopped because of another's? A paused shard keeps its
 * claims.
 */
static bool is_stopped(const struct map_row *row)
{
    return strcmp(row->answer, "moved") == 0;
}

/* The server that disputes with the shard about a place; SLOTMAP_FOREIGN: not known. */
static unsigned other_claimant(const struct comparison *c, struct slot_place place)
{
    return place.server == c->shard->index ? place.rival : place.server;
}

/* A slot came into dispute, or out of it. The other claimant is checked soon, so that it
 * stops, too. */
static void note_change(struct comparison *c, uint32_t slot, struct slot_place place)
{
    unsigned other = other_claimant(c, place);

    count(place.is_disputed ? &c->disputed : &c->settled, slot);
    if (place.is_disputed && other != SLOTMAP_FOREIGN) {
        minder_wake(shard_at(c->shard->router, other));
    }
}

/* Note what the shard has heard and this process does not believe. */
static void note_hearsay(struct comparison *c, const struct map_row *row)
{
    if (c->hearsay.n++ == 0) {
        (void)snprintf(c->hearsay.text, sizeof c->hearsay.text,
                       "slot %u is on %s at epoch %llu", row->slot, row->server,
                       (unsigned long long)row->epoch);
    }
}

static void list_flip(struct flip_list *list, const struct flip *flip)
{
    if (list->n < FLIPS_AT_ONCE) {
        list->flips[list->n++] = *flip;
    }
}

/* The slot of ROW was given away, to be at OURS, and the new owner has not claimed it:
 * maybe the mover died before the last step. */
static void note_flip(struct comparison *c, const struct map_row *row,
                      struct slot_place ours)
{
    const struct shard *shard = c->shard;
    struct flips *flips = shard->router->flips;
    struct flip flip;

    if (ours.is_claimed) {
        return;
    }
    if (ours.epoch == row->epoch && flip_make(&flip, row->slot, row->epoch, row->token) &&
        !flips_has(flips, &flip)) {
        list_flip(&c->news->given, &flip);
    }
    if (ours.server == shard->index && strcmp(row->answer, "notready") == 0 &&
        flips_find(flips, row->slot, ours.epoch, &flip)) {
        list_flip(&c->news->taken, &flip);
    }
}

static void compare_row(struct comparison *c, const struct map_row *row)
{
    struct slotmap *map = c->shard->router->map;
    const struct slot_place claim = {.epoch = row->claim_epoch,
                                     .server = c->shard->index,
                                     .told_by = c->shard->index,
                                     .is_claimed = true,
                                     .is_disputed = is_stopped(row)};
    const struct slot_place theirs = router_place(c->shard, row->epoch, row->server);
    bool was_disputed = slotmap_get(map, row->slot).is_disputed;

    if (row->claim_epoch > 0) {
        slotmap_adopt(map, row->slot, claim);
    }
    slotmap_adopt(map, row->slot, theirs);
    struct slot_place ours = slotmap_get(map, row->slot);
    if (ours.is_disputed != was_disputed) {
        note_change(c, row->slot, ours);
    }
    note_flip(c, row, ours);
    if (ours.is_disputed && row->claim_epoch == ours.epoch && !is_stopped(row)) {
        teach(c, row->slot,
              (struct slot_place){.epoch = ours.epoch,
                                  .server = other_claimant(c, ours),
                                  .is_claimed = true});
    } else if (ours.epoch > theirs.epoch) {
        teach_place(c, row->slot);
    } else if (theirs.epoch > ours.epoch ||
               (theirs.epoch > 0 && theirs.server != ours.server && !ours.is_disputed)) {
        note_hearsay(c, row);
    }
}

/* Log what has changed with this comparison. */
static void report(const struct comparison *c)
{
    const struct router *router = c->shard->router;
    struct router_dispute first;

    if (c->disputed.n > 0 && router_disputes(router, c->disputed.first, &first, 1) > 0) {
        log_write(LOG_ERROR, "slot_disputed",
                  "slot=%u epoch=%llu claimed_by=%s,%s more=%u", first.slot,
                  (unsigned long long)first.epoch, first.servers[0], first.servers[1],
                  c->disputed.n - 1);
    }
    if (c->settled.n > 0) {
        struct slot_place place = slotmap_get(router->map, c->settled.first);
        log_write(LOG_INFO, "slot_settled", "slot=%u epoch=%llu server=%s more=%u",
                  c->settled.first, (unsigned long long)place.epoch,
                  router_server_name(router, place.server), c->settled.n - 1);
    }
}

/* Keep the hearsay in the shard's state, and log it when it has changed. */
static void keep_hearsay(struct comparison *c)
{
    struct shard *shard = c->shard;

    pthread_mutex_lock(&shard->shared.mutex);
    bool is_new = c->hearsay.n != shard->shared.hearsay.n ||
                  strcmp(c->hearsay.text, shard->shared.hearsay.text) != 0;
    shard->shared.hearsay = c->hearsay;
    pthread_mutex_unlock(&shard->shared.mutex);
    if (is_new && c->hearsay.n > 0) {
        log_write(LOG_WARN, "slot_hearsay", "shard=%s heard=\"%s\" more=%u", shard->name,
                  c->hearsay.text, c->hearsay.n - 1);
    }
}

bool map_compare(struct shard *shard, const struct dbresult *map, struct map_news *news)
{
    const struct dbfield fields[] = {
        {.column = "slot", .kind = DBFIELD_U32, .offset = offsetof(struct map_row, slot)},
        {.column = "epoch",
         .kind = DBFIELD_U64,
         .offset = offsetof(struct map_row, epoch)},
        {.column = "server",
         .kind = DBFIELD_TEXT,
         .offset = offsetof(struct map_row, server)},
        {.column = "answer",
         .kind = DBFIELD_TEXT,
         .offset = offsetof(struct map_row, answer)},
        {.column = "claim_epoch",
         .kind = DBFIELD_U64,
         .offset = offsetof(struct map_row, claim_epoch)},
        {.column = "token",
         .kind = DBFIELD_TEXT,
         .offset = offsetof(struct map_row, token)}};
    struct comparison c = {.shard = shard, .news = news};
    uint32_t next = 0;
    struct map_row row;

    news->given.n = news->taken.n = 0;
    for (size_t i = 0; i < map->n_rows; i++) {
        if (!dbresult_read(map, i, fields, ARRAY_LEN(fields), &row)) {
            return false;
        }
        for (; next < row.slot && next < SLOTS_MAX; next++) {
            teach_place(&c, next);
        }
        next = row.slot + 1;
        compare_row(&c, &row);
    }
    for (; next < SLOTS_MAX; next++) {
        teach_place(&c, next);
    }
    report(&c);
    keep_hearsay(&c);
    return true;
}
