/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A plan for the present shards: plan prints it, balance and drain carry it out.
 */
#ifndef DOUSHARD_SCRIPTS_SHARDCTL_PLANNER_H
#define DOUSHARD_SCRIPTS_SHARDCTL_PLANNER_H

#include <stdbool.h>

#include "shard/base/check.h"

#include "shard/plan.h"

#include "scripts/shardctl_moves.h"

/* A threshold that no shard exceeds: only what must be done is done. */
#define PLANNER_ANY_SHARE 1000.0

/* A plan and its input. */
struct planner {
    const struct shardctl *ctl;
    struct fleet fleet;
    struct plan_input input;
    struct plan_shard *shards; /* as in the topology */
    struct plan_slot *slots;
    struct plan plan;
};

/* Make it as the options of `shardctl plan` say, with DRAINED (NULL: none) drained as
 * well, and THRESHOLD unless the option is given. False: the reason is printed on
 * standard error. Call planner_end() in any case. */
bool planner_make(struct planner *run, const struct shardctl *ctl, const char *drained,
                  double threshold) MUST_CHECK;
void planner_end(struct planner *run);

/* Print it, as text or with --json. False: standard output is closed. */
bool planner_print(const struct planner *run);

#endif
