/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Which server has which slot, as far as this process has heard. */
#include "shard/slotmap.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "shard/id.h"

#define HOMES_MAX 8192

struct home {
    uint64_t owner_id;
    uint32_t slot;
};

/* Epochs end here, since versions carry epoch << 33; see slot_fence. */
#define EPOCH_END (UINT64_C(1) << 20)

/* A step further above a claim is a mistake; slot_learn() has the same limit. */
#define EPOCH_STEP_MAX 1000

/* A place as one word, so that readers need no lock: is_empty << 46 | epoch << 26 |
 * is_disputed << 25 | is_claimed << 24 | told_by << 16 | rival << 8 | server. */
#define BIT_RIVAL    8
#define BIT_TOLD_BY  16
#define BIT_CLAIMED  24
#define BIT_DISPUTED 25
#define BIT_EPOCH    26
#define BIT_EMPTY    46

struct slotmap {
    _Atomic uint64_t places[SLOTS_MAX];
    _Atomic uint64_t known[SLOTSET_WORDS]; /* slots whose place has an epoch */
    _Atomic int64_t restless_until_ms[SLOTS_MAX];
    struct {
        pthread_mutex_t mutex;
        struct home homes[HOMES_MAX]; /* direct-mapped by a hash of the owner's id */
    } shared;
};

struct slotmap *slotmap_new(void)
{
    struct slotmap *map = calloc(1, sizeof *map);

    if (map != NULL) {
        pthread_mutex_init(&map->shared.mutex, NULL);
    }
    return map;
}

void slotmap_free(struct slotmap **map)
{
    if (*map != NULL) {
        pthread_mutex_destroy(&(*map)->shared.mutex);
        free(*map);
        *map = NULL;
    }
}

static struct slot_place unpack(uint64_t word)
{
    return (struct slot_place){.epoch = word >> BIT_EPOCH & (EPOCH_END - 1),
                               .is_empty = word >> BIT_EMPTY != 0,
                               .is_disputed = (word >> BIT_DISPUTED & 1) != 0,
                               .is_claimed = (word >> BIT_CLAIMED & 1) != 0,
                               .told_by = (unsigned)(word >> BIT_TOLD_BY & 255),
                               .rival = (unsigned)(word >> BIT_RIVAL & 255),
                               .server = (unsigned)(word & 255)};
}

static uint64_t pack(struct slot_place place)
{
    return (uint64_t)place.is_empty << BIT_EMPTY | place.epoch << BIT_EPOCH |
           (uint64_t)place.is_disputed << BIT_DISPUTED |
           (uint64_t)place.is_claimed << BIT_CLAIMED |
           (uint64_t)place.told_by << BIT_TOLD_BY | (uint64_t)place.rival << BIT_RIVAL |
           place.server;
}

struct slot_place slotmap_get(struct slotmap *map, uint32_t slot)
{
    return slot < SLOTS_MAX ? unpack(atomic_load(&map->places[slot])) : unpack(0);
}

/* Two claims at one epoch. */
static struct slot_place dispute(struct slot_place known, struct slot_place news)
{
    if (news.server != known.server && known.rival == SLOTMAP_FOREIGN) {
        known.rival = news.server;
    }
    known.is_disputed |= news.is_disputed || news.server != known.server;
    return known;
}

/* The place known after NEWS. */
static struct slot_place merge(struct slot_place known, struct slot_place news)
{
    if (known.is_claimed && news.epoch > known.epoch + EPOCH_STEP_MAX) {
        return known;
    }
    if (news.is_claimed && known.epoch > news.epoch + EPOCH_STEP_MAX) {
        return news;
    }
    if (news.is_claimed && known.is_claimed && news.epoch == known.epoch) {
        return dispute(known, news);
    }
    /* NEWS is a claim, or names a server that the topology did not have before. */
    bool is_better = news.epoch == known.epoch && !known.is_claimed &&
                     (news.is_claimed || (known.server == SLOTMAP_FOREIGN &&
                                          news.server != SLOTMAP_FOREIGN));
    return news.epoch > known.epoch || is_better ? news : known;
}

bool slotmap_adopt(struct slotmap *map, uint32_t slot, struct slot_place place)
{
    CHECK(place.server <= SLOTMAP_FOREIGN && place.told_by <= SLOTMAP_FOREIGN);
    CHECK(!place.is_empty || place.server == SLOTMAP_FOREIGN);
    if (slot >= SLOTS_MAX || place.epoch == 0 || place.epoch >= EPOCH_END) {
        return false;
    }
    place.rival = SLOTMAP_FOREIGN;
    uint64_t word = atomic_load(&map->places[slot]);
    struct slot_place known;
    struct slot_place next;
    do {
        known = unpack(word);
        next = merge(known, place);
    } while (!atomic_compare_exchange_weak(&map->places[slot], &word, pack(next)));
    atomic_fetch_or(&map->known[slot / SLOTSET_BITS], UINT64_C(1)
                                                          << (slot % SLOTSET_BITS));
    return next.epoch != known.epoch || next.server != known.server;
}

void slotmap_set_restless(struct slotmap *map, uint32_t slot, int64_t until_ms)
{
    if (slot < SLOTS_MAX) {
        atomic_store(&map->restless_until_ms[slot], until_ms);
    }
}

bool slotmap_is_restless(struct slotmap *map, uint32_t slot, int64_t now_ms)
{
    return slot < SLOTS_MAX && atomic_load(&map->restless_until_ms[slot]) > now_ms;
}

void slotmap_all(struct slotmap *map, struct slotset *slots)
{
    for (size_t i = 0; i < SLOTSET_WORDS; i++) {
        slots->words[i] =
            i < SHARED_SLOTS / SLOTSET_BITS ? UINT64_MAX : atomic_load(&map->known[i]);
    }
    for (uint32_t slot = SHARED_SLOTS;
         (slot = slotset_next(slots, NULL, slot)) < SLOTS_MAX; slot++) {
        if (slotmap_get(map, slot).is_empty) {
            slotset_remove(slots, slot);
        }
    }
}

unsigned slotmap_count(struct slotmap *map, unsigned server)
{
    struct slotset all;
    unsigned n = 0;

    slotmap_all(map, &all);
    for (uint32_t slot = 0; (slot = slotset_next(&all, NULL, slot)) < SLOTS_MAX; slot++) {
        struct slot_place place = slotmap_get(map, slot);
        n += place.epoch > 0 && place.server == server;
    }
    return n;
}

static struct home *home_of(struct slotmap *map, uint64_t owner_id)
{
    /* Fibonacci hashing (Knuth, TAOCP 3, 6.4): ids of one slot differ in high bits only.
     */
    return &map->shared.homes[(owner_id * UINT64_C(0x9E3779B97F4A7C15)) >> 51];
}

uint32_t slotmap_home(struct slotmap *map, uint64_t owner_id)
{
    uint32_t slot = id_slot(owner_id);

    pthread_mutex_lock(&map->shared.mutex);
    const struct home *home = home_of(map, owner_id);
    if (home->owner_id == owner_id && !slotmap_get(map, home->slot).is_empty) {
        slot = home->slot;
    }
    pthread_mutex_unlock(&map->shared.mutex);
    return slot;
}

void slotmap_set_home(struct slotmap *map, uint64_t owner_id, uint32_t slot)
{
    pthread_mutex_lock(&map->shared.mutex);
    *home_of(map, owner_id) = (struct home){.owner_id = owner_id, .slot = slot};
    pthread_mutex_unlock(&map->shared.mutex);
}
