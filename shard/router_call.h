/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Calls of procedures on the shard of an owner, wherever that is by now.
 *
 * The only retry loop of the program is behind these functions. It knows which answers
 * prove that nothing was done (repeat), which news of moved slots to follow, and that a
 * write without an answer may still commit: such a write is repeated only when its first
 * attempt was killed and has ended. Calls to shards rather than owners are in
 * router_scatter.h. */
#ifndef DOUSHARD_ROUTER_CALL_H
#define DOUSHARD_ROUTER_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/call.h"
#include "shard/dbexec.h"
#include "shard/dbresult.h"
#include "shard/ops.h"
#include "shard/outcome.h"
#include "shard/proc.h"
#include "shard/router.h"

/* The answer to one operation. */
struct router_answer {
    enum outcome outcome;          /* never MOVED or NOTREADY, but see router_owner() */
    const struct dbresult *result; /* where its row is; NULL when no shard answered */
    size_t row;
    uint32_t slot; /* the slot in which it was answered */
};

/* The owner that a PROC_OWNER procedure concerns. */
struct router_subject {
    uint64_t owner; /* id; 0 = a name, then slot is used */
    uint32_t slot;  /* of the name */
};

/* All functions are thread-safe and block until call->deadline_ms at the latest; results
 * live in call->arena; on failure call->detail says what happened. */

/* Run the operations of OPS, each on the shard of its owner; ANSWERS has room for
 * ops_count(OPS). Operations on several shards run side by side. */
void router_batch(struct router *router, struct call *call, enum proc_id proc,
                  struct ops *ops, struct router_answer *answers);

/* Run OPS, one operation, which are taken and freed; NULL: there was no memory for them.
 * Returns the outcome of ANSWER. */
enum outcome router_one(struct router *router, struct call *call, enum proc_id proc,
                        struct ops *ops, struct router_answer *answer);

/* Call a PROC_OWNER procedure; ARGS are those after slot and epoch. *ANSWER->result holds
 * all rows. MOVED is possible only for a name whose user is in a slot of their own. */
void router_owner(struct router *router, struct call *call, enum proc_id proc,
                  struct router_subject subject, const struct dbarg *args,
                  struct router_answer *answer);

/* Wait a moment, longer with each ROUND (0, 1, ..), for something on a shard to end by
 * itself. False at once if the deadline would pass. */
bool router_pause(const struct call *call, unsigned round);

#endif
