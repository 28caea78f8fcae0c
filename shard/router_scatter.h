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

/* What one shard said to a PROC_SHARD procedure. */
struct router_share {
    bool wanted;          /* set by the caller: ask this shard */
    enum outcome outcome; /* OK, or why there are no results */
    const struct dbresult *results;
};

/* Ask every wanted shard. SHARES has router_n_shards() elements. Thread-safe; blocks
 * until call->deadline_ms at the latest; results live in call->arena. */
void router_scatter(struct router *router, struct call *call, enum proc_id proc,
                    const struct dbarg *args, struct router_share *shares);

#endif
