/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* How often something may be done: the Generic Cell Rate Algorithm, for a count in this
 * process and for one in Redis that all processes share.
 *
 * Who does it has one number: until when what was done lasts, if each time lasts one
 * step. BURST times may be done in advance, and one more whenever a step has passed.
 * Nothing runs in the background, and a number that has passed need not be kept.
 *
 *   now    +step   +2 step  +3 step = BURST
 *    |-------|-------|-------|
 *    ^ until: three may be done at once
 *            ^ until: two
 *                            ^ until: none, the next one in a step
 *
 * A number beyond the burst becomes the burst: it comes from a stricter rule, or
 * from a clock that was set back, and nobody waits longer for that.
 *
 * Source: ATM Forum, Traffic Management Specification 4.0, 4.4.2 (virtual scheduling).
 */
#ifndef DOUSHARD_GCRA_H
#define DOUSHARD_GCRA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/check.h"

#include "shard/rcluster.h"

/* Times are microseconds: a step of the highest rates is shorter than a millisecond. */
struct gcra {
    int64_t step_us; /* > 0 */
    int64_t burst;   /* > 0 */
};

/* MAX (> 0) in PERIOD_MS, all of them at once if need be. */
struct gcra gcra_evenly(unsigned max, int64_t period_ms);

/* The same so that no PERIOD_MS has more than MAX: half of them may be done at once, and
 * the other half comes back in the course of the period. */
struct gcra gcra_at_most(unsigned max, int64_t period_ms);

/* ---- In this process ---- */

/* Do it at NOW_US, by the clock of *UNTIL_US (0: it was never done). 0: done. Else it is
 * not, and may be in so many microseconds. */
int64_t gcra_take(const struct gcra *rule, int64_t *until_us, int64_t now_us) MUST_CHECK;

/* ---- In Redis ---- */

/* Set up the scripts. Before the first use. */
void gcra_init(void);

/* The same with the number under KEY, by the clock of its node; give: one that was taken
 * was not done after all. False: memory is short. */
bool gcra_add_take(struct rbatch *batch, const char *key, const struct gcra *rule);
bool gcra_add_give(struct rbatch *batch, const char *key, const struct gcra *rule);

/* What command I of BATCH, a take, was answered: *WAIT_US is as that of gcra_take().
 * False: nothing, and nobody knows whether it was counted. */
bool gcra_taken(const struct rbatch *batch, size_t i, int64_t *wait_us) MUST_CHECK;

#endif
