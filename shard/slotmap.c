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

struct slotmap {
    /* epoch << 8 | server: one word, so that readers need no lock. */
    _Atomic uint64_t places[SLOTS_MAX];
    _Atomic uint64_t known[SLOTSET_WORDS]; /* slots whose place has an epoch */
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
    return (struct slot_place){.epoch = word >> 8, .server = (unsigned)(word & 255)};
}

struct slot_place slotmap_get(struct slotmap *map, uint32_t slot)
{
    return slot < SLOTS_MAX ? unpack(atomic_load(&map->places[slot])) : unpack(0);
}

bool slotmap_adopt(struct slotmap *map, uint32_t slot, struct slot_place place)
{
    CHECK(place.server <= SLOTMAP_FOREIGN);
    if (slot >= SLOTS_MAX || place.epoch >= UINT64_C(1) << 56) {
        return false;
    }
    uint64_t news = place.epoch << 8 | place.server;
    uint64_t known = atomic_load(&map->places[slot]);
    while (unpack(known).epoch < place.epoch) {
        if (atomic_compare_exchange_weak(&map->places[slot], &known, news)) {
            atomic_fetch_or(&map->known[slot / SLOTSET_BITS],
                            UINT64_C(1) << (slot % SLOTSET_BITS));
            return true;
        }
    }
    return false;
}

void slotmap_all(struct slotmap *map, struct slotset *slots)
{
    for (size_t i = 0; i < SLOTSET_WORDS; i++) {
        slots->words[i] =
            i < SHARED_SLOTS / SLOTSET_BITS ? UINT64_MAX : atomic_load(&map->known[i]);
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
    if (home->owner_id == owner_id) {
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
