/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* How often a user, or an address, may do what the table rate.def names.
 *
 *   rate_admit() --> the count of this process --> that of Redis, for all servers --> yes
 *                            \ no                        \ no
 *                             `---------------------------`--> answered: in N s
 *
 * Redis has one number for each, "ds:{USER or ADDRESS}:r:NAME" (shard/gcra.h). The count
 * of this process goes along, and decides alone whenever Redis says nothing within 50 ms,
 * or there is none: then each server grants the limit once, but never more.
 *
 * What counts is what was asked for, be it granted by the handler or not; what is refused
 * here does not. The count of this process is a table of fixed size: when it is full,
 * those are forgotten that have least to wait for. */
#ifndef DOUSHARD_AUTH_RATE_H
#define DOUSHARD_AUTH_RATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/check.h"

#include "shard/gcra.h"

#include "server/request/route.h"

struct request;

/* Whom a count is for. */
enum rate_subject { RATE_OF_NOBODY, RATE_OF_USER, RATE_OF_ADDRESS };

enum rate_subject rate_subject(enum rate_action action);

struct rate;

/* NULL: no memory. The functions below are thread-safe. */
struct rate *rate_new(void) MUST_CHECK;

/* *RATE becomes NULL; NULL is allowed. */
void rate_free(struct rate **rate);

/* May the caller of REQ, who has been identified, do what its route counts as, now?
 * False: REQ has been answered. Blocks for 50 ms at the longest. */
bool rate_admit(struct request *req) MUST_CHECK;

/* ---- The count of this process, for rate.c and its test ---- */

/* Count ACTION for the LEN bytes WHO, as many for all of an action, as gcra_take(). */
int64_t rate_take(struct rate *rate, enum rate_action action, const void *who, size_t len,
                  const struct gcra *rule, int64_t now_us) MUST_CHECK;

/* One that was taken was not done after all. */
void rate_give(struct rate *rate, enum rate_action action, const void *who, size_t len,
               const struct gcra *rule);

#endif
