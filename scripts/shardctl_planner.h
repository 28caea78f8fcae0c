/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A plan for the shards as they are: what plan prints, and balance and drain carry out.
 */
#ifndef DOUSHARD_SCRIPTS_SHARDCTL_PLANNER_H
#define DOUSHARD_SCRIPTS_SHARDCTL_PLANNER_H

#include <stdbool.h>

#include "shard/base/check.h"

#include "shard/plan.h"

#include "scripts/shardctl_moves.h"

/* A threshold that no shard is beyond: nothing is done but what must be. */
#define PLANNER_ANY_SHARE 1000.0

/* A plan, and what it was made from. */
struct planner {
    const struct shardctl *ctl;
    struct fleet fleet;
    struct plan_input input;
    struct plan_shard *shards; /* as in the topology */
    struct plan_slot *slots;
    struct plan plan;
};

/* Make it as the options of `shardctl plan` say, with DRAINED (NULL: none) to be drained
 * as well, and THRESHOLD unless one is given. False: said on standard error.
 * planner_end() in any case. */
bool planner_make(struct planner *run, const struct shardctl *ctl, const char *drained,
                  double threshold) MUST_CHECK;
void planner_end(struct planner *run);

/* Print it, as text or with --json. False: standard output is gone. */
bool planner_print(const struct planner *run);

#endif
