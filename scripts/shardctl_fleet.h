/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What all shards say about their slots: the input of plan, hot and where.
 */
#ifndef DOUSHARD_SCRIPTS_SHARDCTL_FLEET_H
#define DOUSHARD_SCRIPTS_SHARDCTL_FLEET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/arena.h"
#include "shard/base/check.h"

#include "shard/call.h"
#include "shard/dbexec.h"
#include "shard/proc.h"
#include "shard/router_scatter.h"

#include "scripts/shardctl.h"

/* A slot, as reported by the shard that owns it. */
struct fleet_slot {
    uint32_t slot;
    uint64_t epoch;
    const char *state; /* owned or migrating */
    uint64_t operations_per_min;
    uint64_t busy_us_per_min;
    int64_t measured_at_ms; /* since the Unix epoch; 0: never, and sizes are 0 */
    uint64_t rows;
    uint64_t bytes;
    size_t shard; /* index in the topology */
};

/* Texts and arrays live until fleet_end(). */
struct fleet {
    const struct shardctl *ctl; /* (ref) */
    struct arena arena;
    struct call call;
    struct router_share *shares; /* of the last CALL */
    struct fleet_slot *slots;    /* by number */
    size_t n_slots;
    size_t n_unmeasured;
    size_t n_silent; /* shards that did not answer the last CALL; printed on standard
                      * error */
    bool is_quiet;   /* do not print it there */
};

void fleet_begin(struct fleet *fleet, const struct shardctl *ctl);
void fleet_end(struct fleet *fleet);

/* The name of a shard. */
const char *fleet_shard(const struct fleet *fleet, size_t shard);

/* Why SHARD did not answer the last CALL, in words. */
const char *fleet_why(const struct fleet *fleet, size_t shard);

/* CALL a procedure on every shard, or only on shard ONLY (SIZE_MAX: all); fleet->shares
 * has the answers. False: none did answer, or out of memory. */
bool fleet_call(struct fleet *fleet, enum proc_id proc, const struct dbarg *args,
                size_t only) MUST_CHECK;

/* The same on SHARD alone, as an exit status: 0; 1: it refuses; 2: it does not answer, or
 * not what can be read, or out of memory. */
int fleet_ask(struct fleet *fleet, enum proc_id proc, const struct dbarg *args,
              size_t shard) MUST_CHECK;

/* Read the slots of all shards; those of shards that do not answer are missing. False:
 * the reason is printed on standard error, for example a slot that two shards own. */
bool fleet_read(struct fleet *fleet) MUST_CHECK;

/* Have the shards count the rows of slots that were never measured, until UNTIL_MS
 * (monotonic) at most, and read the slots again. Some stay unmeasured where the account
 * may not measure or time runs out. False as fleet_read(). */
bool fleet_measure(struct fleet *fleet, int64_t until_ms) MUST_CHECK;

/* "1.5 GB"; TEXT is where it is. */
const char *fleet_bytes(double bytes, char text[24]);

#endif
