/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Measures the load of slots and owners. */
#include "shard/slotload.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "shard/slotset.h"

/* Places in the index of owners: a power of two, at least twice as many. */
#define CELLS (SLOTLOAD_OWNERS * 2)

#define NO_ENTRY UINT16_MAX

struct cell {
    atomic_uint_fast64_t operations;
    atomic_uint_fast64_t busy_ns;
};

/* An owner that has a place. */
struct entry {
    uint64_t owner; /* 0: nobody */
    uint32_t slot;
    uint64_t operations;
    uint64_t busy_ns;
};

struct slotload {
    struct cell *cells;            /* owned; one per slot */
    atomic_uint_fast64_t heard_ns; /* of owners, recently: counted */
    atomic_uint_fast64_t lost_ns;  /* and left out */
    struct {
        pthread_mutex_t mutex; /* tried, but for taking */
        struct entry entries[SLOTLOAD_OWNERS];
        uint64_t ranks_ns[SLOTLOAD_OWNERS]; /* including what former owners of the place
                                             * left; in one array, because the cheapest is
                                             * searched often */
        uint16_t index[CELLS];              /* by hash of the owner, open addressing */
    } shared;
};

struct slotload *slotload_new(void)
{
    struct slotload *load = calloc(1, sizeof *load);

    if (load == NULL) {
        return NULL;
    }
    load->cells = calloc(SLOTS_MAX, sizeof *load->cells);
    if (load->cells == NULL) {
        free(load);
        return NULL;
    }
    for (size_t i = 0; i < CELLS; i++) {
        load->shared.index[i] = NO_ENTRY;
    }
    pthread_mutex_init(&load->shared.mutex, NULL);
    return load;
}

void slotload_free(struct slotload **load)
{
    if (*load != NULL) {
        pthread_mutex_destroy(&(*load)->shared.mutex);
        free((*load)->cells);
        free(*load);
        *load = NULL;
    }
}

/* ---- The table of owners; its mutex is held ---- */

static size_t home_of(uint64_t owner)
{
    return (size_t)(owner * 0x9e3779b97f4a7c15u >> 32) % CELLS;
}

/* Where OWNER is in the index, or where it would be. */
static size_t find_cell(const struct slotload *load, uint64_t owner)
{
    size_t i = home_of(owner);

    while (load->shared.index[i] != NO_ENTRY &&
           load->shared.entries[load->shared.index[i]].owner != owner) {
        i = (i + 1) % CELLS;
    }
    return i;
}

/* Remove the cell at HOLE from the index; the cells after it close the gap. */
static void remove_cell(struct slotload *load, size_t hole)
{
    uint16_t *index = load->shared.index;

    for (size_t i = (hole + 1) % CELLS; index[i] != NO_ENTRY; i = (i + 1) % CELLS) {
        const size_t home = home_of(load->shared.entries[index[i]].owner);
        if ((i - home) % CELLS >= (i - hole) % CELLS) {
            index[hole] = index[i];
            hole = i;
        }
    }
    index[hole] = NO_ENTRY;
}

static size_t cheapest(const struct slotload *load)
{
    const uint64_t *ranks = load->shared.ranks_ns;
    size_t least = 0;
    uint64_t rank = ranks[0];

    for (size_t i = 1; i < SLOTLOAD_OWNERS; i++) {
        least = ranks[i] < rank ? i : least;
        rank = ranks[i] < rank ? ranks[i] : rank;
    }
    return least;
}

/* The place of OWNER, perhaps taken from another. */
static size_t place_of(struct slotload *load, uint64_t owner)
{
    size_t cell = find_cell(load, owner);

    if (load->shared.index[cell] == NO_ENTRY) {
        const size_t place = cheapest(load);
        struct entry *entry = &load->shared.entries[place];
        if (entry->owner != 0) {
            remove_cell(load, find_cell(load, entry->owner));
            cell = find_cell(load, owner);
        }
        load->shared.index[cell] = (uint16_t)place;
        *entry = (struct entry){.owner = owner};
    }
    return load->shared.index[cell];
}

static void add_owner(struct slotload *load, uint64_t owner, uint32_t slot, uint64_t ns)
{
    const size_t place = place_of(load, owner);
    struct entry *entry = &load->shared.entries[place];

    load->shared.ranks_ns[place] += ns;
    entry->slot = slot;
    entry->busy_ns += ns;
    entry->operations++;
}

/* ---- Counting ---- */

struct slotload_tally slotload_begin(struct slotload *load, size_t n, int64_t us)
{
    struct slotload_tally tally = {.load = load};

    if (load != NULL && n > 0 && us > 0) {
        tally.ns = (uint64_t)us * 1000 / n;
    }
    tally.has_owners = load != NULL && pthread_mutex_trylock(&load->shared.mutex) == 0;
    return tally;
}

void slotload_add(struct slotload_tally *tally, uint32_t slot, uint64_t owner)
{
    struct slotload *load = tally->load;

    if (load == NULL || slot >= SLOTS_MAX) {
        return;
    }
    struct cell *cell = &load->cells[slot];
    atomic_fetch_add_explicit(&cell->operations, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&cell->busy_ns, tally->ns, memory_order_relaxed);
    if (owner != 0) {
        atomic_fetch_add_explicit(tally->has_owners ? &load->heard_ns : &load->lost_ns,
                                  tally->ns, memory_order_relaxed);
        if (tally->has_owners) {
            add_owner(load, owner, slot, tally->ns);
        }
    }
}

void slotload_add_both(struct slotload_tally *tally, uint32_t slot, uint64_t owner,
                       uint32_t target_slot, uint64_t target)
{
    const uint64_t whole_ns = tally->ns;

    tally->ns = whole_ns / 2;
    slotload_add(tally, slot, owner);
    slotload_add(tally, target_slot, target);
    tally->ns = whole_ns;
}

void slotload_end(struct slotload_tally *tally)
{
    if (tally->has_owners) {
        pthread_mutex_unlock(&tally->load->shared.mutex);
    }
    *tally = (struct slotload_tally){.load = NULL};
}

/* ---- Reporting ---- */

size_t slotload_take_slots(struct slotload *load, slotload_wants_fn wants, void *context,
                           struct slotload_slot *slots, size_t max)
{
    size_t n = 0;

    for (uint32_t slot = 0; slot < SLOTS_MAX && n < max; slot++) {
        struct cell *cell = &load->cells[slot];
        if (atomic_load_explicit(&cell->operations, memory_order_relaxed) != 0 &&
            wants(context, slot)) {
            slots[n++] = (struct slotload_slot){
                .slot = slot,
                .operations = atomic_exchange(&cell->operations, 0),
                .busy_us = atomic_exchange(&cell->busy_ns, 0) / 1000};
        }
    }
    return n;
}

/* The factor that makes up for what was left out. */
static double correction(struct slotload *load)
{
    const double heard = (double)atomic_load(&load->heard_ns);
    const double lost = (double)atomic_load(&load->lost_ns);

    atomic_fetch_sub(&load->heard_ns, (uint64_t)(heard / 2));
    atomic_fetch_sub(&load->lost_ns, (uint64_t)(lost / 2));
    return heard > 0 ? 1 + lost / heard : 1;
}

size_t slotload_take_owners(struct slotload *load, slotload_wants_fn wants, void *context,
                            struct slotload_owner *owners)
{
    size_t n = 0;

    pthread_mutex_lock(&load->shared.mutex);
    const double times = correction(load);
    for (size_t i = 0; i < SLOTLOAD_OWNERS; i++) {
        struct entry *entry = &load->shared.entries[i];
        if (entry->owner != 0 && wants(context, entry->slot)) {
            owners[n++] = (struct slotload_owner){
                .owner = entry->owner,
                .slot = entry->slot,
                .operations = (uint64_t)((double)entry->operations * times + 0.5),
                .busy_us = (uint64_t)((double)entry->busy_ns * times / 1000)};
            remove_cell(load, find_cell(load, entry->owner));
            *entry = (struct entry){.owner = 0};
            load->shared.ranks_ns[i] = 0;
        }
    }
    pthread_mutex_unlock(&load->shared.mutex);
    return n;
}
