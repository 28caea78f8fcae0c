/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Rate limits: the Generic Cell Rate Algorithm, for a count in this process and for one
 * in Redis that all processes share.
 *
 * Each user or address has one number: the time at which everything done so far would end
 * if each action took one step. BURST actions may be done in advance, and one more
 * whenever a step has passed. Nothing runs in the background, and a number in the past
 * need not be kept.
 *
 *   now    +step   +2 step  +3 step = BURST
 *    |-------|-------|-------|
 *    ^ until: three may be done at once
 *            ^ until: two
 *                            ^ until: none, the next one in a step
 *
 * A number beyond the burst is reduced to the burst: it comes from a stricter rule, or
 * from a clock that was set back, and nobody should wait longer for that.
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

/* Count one at NOW_US, by the clock of *UNTIL_US (0: never counted). 0: allowed.
 * Otherwise not counted, and the microseconds to wait. */
int64_t gcra_take(const struct gcra *rule, int64_t *until_us, int64_t now_us) MUST_CHECK;

/* ---- In Redis ---- */

/* Set up the scripts; call it before the first use. */
void gcra_init(void);

/* The same with the number under KEY, by the clock of its node; "give" returns one that
 * was taken but not done. False: out of memory. */
bool gcra_add_take(struct rbatch *batch, const char *key, const struct gcra *rule);
bool gcra_add_give(struct rbatch *batch, const char *key, const struct gcra *rule);

/* Read the answer to command I of BATCH, a take: *WAIT_US as gcra_take() returns it.
 * False: no answer, and unknown whether it was counted. */
bool gcra_taken(const struct rbatch *batch, size_t i, int64_t *wait_us) MUST_CHECK;

#endif
