/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The load of slots and owners: operations, and the time that their CALLs took, as this
 * process sees it.
 *
 * A CALL of several operations costs each the same part of its time. This includes time
 * on the wire, in queues and under locks: a slot that keeps others waiting is expensive.
 *
 * Each slot has its own count, without locks. Owners are too many for that: only the
 * SLOTLOAD_OWNERS that cost most are kept, by the algorithm Space-Saving (Metwally,
 * Agrawal, El Abbadi: Efficient Computation of Frequent and Top-k Elements in Data
 * Streams, 2005). A new owner takes the place of the cheapest, and inherits its rank; an
 * owner that costs more than 1/SLOTLOAD_OWNERS of all is certainly among them. The report
 * of an owner has only what was counted since it got its place, so that it does not
 * include another's. A thread that would have to wait for the table leaves its owners
 * out, and the others are scaled up for it.
 *
 * Thread-safe; nothing here blocks. */
#ifndef DOUSHARD_SLOTLOAD_H
#define DOUSHARD_SLOTLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/check.h"

#define SLOTLOAD_OWNERS ((size_t)256)

struct slotload;

struct slotload_slot {
    uint32_t slot;
    uint64_t operations;
    uint64_t busy_us;
};

struct slotload_owner {
    uint64_t owner; /* id of a user or video */
    uint32_t slot;
    uint64_t operations;
    uint64_t busy_us;
};

/* NULL when out of memory. */
struct slotload *slotload_new(void) MUST_CHECK;
void slotload_free(struct slotload **load);

/* A CALL being counted. */
struct slotload_tally {
    struct slotload *load; /* (ref) NULL: nothing is counted */
    uint64_t ns;           /* of each operation */
    bool has_owners;
};

/* Count a CALL of N operations that took US: slotload_add() for each of them, then end.
 * LOAD may be NULL. */
struct slotload_tally slotload_begin(struct slotload *load, size_t n, int64_t us);
void slotload_add(struct slotload_tally *tally, uint32_t slot,
                  uint64_t owner); /* 0: a name */
/* An operation that made both halves of an edge: each owner gets half of the cost. */
void slotload_add_both(struct slotload_tally *tally, uint32_t slot, uint64_t owner,
                       uint32_t target_slot, uint64_t target);
void slotload_end(struct slotload_tally *tally);

/* Does SLOT belong to the report? */
typedef bool (*slotload_wants_fn)(void *context, uint32_t slot);

/* Take the counts of the slots for which WANTS is true, and reset them. Writes at most
 * MAX, returns how many; the rest is left for the next time. */
size_t slotload_take_slots(struct slotload *load, slotload_wants_fn wants, void *context,
                           struct slotload_slot *slots, size_t max);

/* The same for owners; OWNERS has room for SLOTLOAD_OWNERS. */
size_t slotload_take_owners(struct slotload *load, slotload_wants_fn wants, void *context,
                            struct slotload_owner *owners);

#endif
