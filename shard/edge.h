/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Edges ("user follows user", "user likes video"): both halves of one change. */
#ifndef DOUSHARD_EDGE_H
#define DOUSHARD_EDGE_H

#include <stdbool.h>
#include <stdint.h>

#include "shard/call.h"
#include "shard/half.h"
#include "shard/outcome.h"
#include "shard/proc.h"

struct delivery;

/* Which edge, and by which procedure its first half is written. */
struct edge {
    enum half_kind kind;
    enum proc_id action;
    uint64_t actor_id;
    uint64_t target_id;
};

/* Set the edge or take it away. OK, SAME, NOTFOUND (no such target, or the actor is
 * gone); else the first half's outcome, which on TIMEOUT is unknown. */
enum outcome edge_set(struct delivery *delivery, struct call *call,
                      const struct edge *edge, bool is_there);

#endif
