/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* How often a user, or an address, may do what the table rate.def names.
 *
 *   rate_admit() --> the count of this process --> that of Redis, for all servers --> yes
 *                            \ no                        \ no
 *                             `---------------------------`--> answered: in N s
 *
 * Redis has one number for each, "ds:{USER or ADDRESS}:r:NAME" (shard/gcra.h). The count
 * of this process is always kept, and decides alone when Redis does not answer within 50
 * ms or there is none: then the limit holds for each server.
 *
 * Requests count whether the handler succeeds or not, except those refused here. The
 * count of this process is a table of fixed size: when it is full, entries with the
 * shortest wait are dropped. */
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

/* May the caller of REQ, who has been identified, do now what its route counts as? False:
 * REQ has been answered. Blocks for 50 ms at most. */
bool rate_admit(struct request *req) MUST_CHECK;

/* ---- The count of this process, for rate.c and its test ---- */

/* Count ACTION for the LEN bytes WHO (always the same length for one action), as
 * gcra_take(). */
int64_t rate_take(struct rate *rate, enum rate_action action, const void *who, size_t len,
                  const struct gcra *rule, int64_t now_us) MUST_CHECK;

/* Give back one that was taken but not done. */
void rate_give(struct rate *rate, enum rate_action action, const void *who, size_t len,
               const struct gcra *rule);

#endif
