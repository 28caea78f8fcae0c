/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A batch of operations for a procedure, as one JSON array.
 *
 * The router owns slot and epoch of each operation, and of its target, since they may
 * change between two attempts; the caller adds everything else once. */
#ifndef DOUSHARD_OPS_H
#define DOUSHARD_OPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/arena.h"
#include "shard/base/check.h"

/* Limits of the procedures (procedures/op/_op_open.sql). */
#define OPS_MAX       256
#define OPS_BYTES_MAX 262144

struct ops;
struct ticket;

/* NULL when out of memory. */
struct ops *ops_new(void) MUST_CHECK;
void ops_free(struct ops **ops);

/* Begin one more operation about OWNER; SLOT is where OWNER is, such as the shared slot
 * of a name; with ops_add_owner() the router finds it by the owner's id. At most OPS_MAX;
 * a further one, or lack of memory, makes ops_render() fail. */
void ops_add(struct ops *ops, uint32_t slot, uint64_t owner);
void ops_add_owner(struct ops *ops, uint64_t owner);

/* The last operation also concerns TARGET: if the owner's shard has both, and neither
 * slot is moving, the procedure is told where TARGET is, and may change it, too. Call it
 * once. */
void ops_target(struct ops *ops, uint64_t target);

/* Give the last operation a field. NAME is static text; values are copied. */
void ops_text(struct ops *ops, const char *name, const char *value);
void ops_number(struct ops *ops, const char *name, int64_t value);
void ops_hex(struct ops *ops, const char *name, const void *data, size_t len);

/* How many were added, including those that could not be kept. */
size_t ops_count(const struct ops *ops);

/* Have all been kept? Otherwise none of the functions below may be called. */
bool ops_are_whole(const struct ops *ops);

uint64_t ops_owner(const struct ops *ops, size_t i);

/* The fixed slot of operation I. False: find it by the owner's id. */
bool ops_fixed_slot(const struct ops *ops, size_t i, uint32_t *slot);

/* Where operation I goes on the next attempt. */
void ops_place(struct ops *ops, size_t i, uint32_t slot, uint64_t epoch);

/* The slot it was placed in. */
uint32_t ops_slot(const struct ops *ops, size_t i);

/* The target of operation I; 0: it has none. */
uint64_t ops_get_target(const struct ops *ops, size_t i);

/* Where the target of operation I is on the next attempt; EPOCH 0: do not send it,
 * because it is on another shard or its slot is moving. */
void ops_place_target(struct ops *ops, size_t i, uint32_t slot, uint64_t epoch);

/* Is the procedure told where the target of operation I is? Then it does the target's
 * part as well, in *SLOT. */
bool ops_has_target(const struct ops *ops, size_t i, uint32_t *slot);

/* A number that operations about the same owner with the same FIELD, a number or a binary
 * value, have in common, and others hardly ever; 0 when operation I has none. */
uint64_t ops_mark(const struct ops *ops, size_t i, const char *field);

/* One operation, of any batch. */
struct ops_ref {
    struct ops *ops;
    size_t i;
    struct ticket *ticket; /* the ticket it belongs to; not used here */
};

/* Sort the N operations as the procedures require (slot, owner). */
void ops_sort(struct ops_ref *refs, size_t n);

/* The JSON array of the N operations, in ARENA; NULL when something did not fit. */
const char *ops_render(const struct ops_ref *refs, size_t n, struct arena *arena,
                       size_t *len) MUST_CHECK;

#endif
