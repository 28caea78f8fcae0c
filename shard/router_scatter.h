/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Asking shards rather than owners: one CALL to several of them, side by side, once. */
#ifndef DOUSHARD_ROUTER_SCATTER_H
#define DOUSHARD_ROUTER_SCATTER_H

#include <stdbool.h>

#include "shard/call.h"
#include "shard/dbexec.h"
#include "shard/dbresult.h"
#include "shard/outcome.h"
#include "shard/proc.h"
#include "shard/router.h"
#include "shard/slotset.h"

/* One shard's answer to a PROC_SHARD procedure. */
struct router_share {
    bool wanted;          /* set by the caller: ask this shard */
    enum outcome outcome; /* OK, or why there are no results */
    const struct dbresult *results;
};

/* Ask every wanted shard. SHARES has N elements: router_n_shards() now, or as it was
 * earlier. Thread-safe; blocks until call->deadline_ms at the latest; results live in
 * call->arena.
 */
void router_scatter(struct router *router, struct call *call, enum proc_id proc,
                    const struct dbarg *args, struct router_share *shares, size_t n);

/* Add to SLOTS those covered by an answer of SHARD that names the generation GEN. False:
 * that generation is not known; see router_read_maps(). */
bool router_covers(struct router *router, size_t shard, uint64_t gen,
                   struct slotset *slots);

/* Ask every wanted shard for its map, and remember which slots it serves. The results are
 * not kept. */
void router_read_maps(struct router *router, struct call *call,
                      struct router_share *shares, size_t n);

/* All slots that there are, as far as is known, shared and own ones; and in DISPUTED
 * those of them that two shards claim, which nobody serves. */
void router_all_slots(struct router *router, struct slotset *slots,
                      struct slotset *disputed);

#endif
