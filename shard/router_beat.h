/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Detects old data: a restored backup or copy, a replica that was behind.
 *
 * Every shard has a counter (shard_tick), and the minders tell each shard the others'
 * counters (shard_learn). A shard whose own counter is below what any other remembers has
 * old data: it is told so, and refuses itself, durably; until it has, no connection to it
 * is used. A counter is passed on only by the process whose CALL raised it, when it is on
 * disk, so that a shard that was merely restarted is never below it. */
#ifndef DOUSHARD_ROUTER_BEAT_H
#define DOUSHARD_ROUTER_BEAT_H

#include <stdbool.h>
#include <stdint.h>

#include "shard/base/buf.h"
#include "shard/base/check.h"
#include "shard/base/errmsg.h"

#include "shard/dbresult.h"
#include "shard/router_impl.h"

/* A shard's own counter, what it remembers of others, and what to tell it. */
struct beats {
    uint64_t own;
    bool is_refused;
    bool is_new;     /* what is remembered of it is of another one, which was removed */
    struct buf json; /* the argument of shard_learn(), the last bracket open */
    unsigned n;      /* entries in it */
};

/* SHARD had BEAT on disk. */
void beat_remember(struct shard *shard, uint64_t beat);

/* May SHARD, whose counter is BEAT, be used? Yes, if it refuses everybody itself.
 * False: ERR says why not. */
bool beat_admit(struct shard *shard, uint64_t beat, bool is_refused,
                struct errmsg *err) MUST_CHECK;

/* Learn from ROWS, the answer of SHARD's shard_heard(). False: they cannot be read. */
bool beats_read(struct beats *beats, struct shard *shard,
                const struct dbresult *rows) MUST_CHECK;

/* Forget what is remembered of SHARD if that is of a former shard of the same name that
 * was removed: it has never counted itself, and no shard says that it has a slot. Others
 * may recall it at once, until it has counted: BEATS notes it, too. False, with ERR: the
 * owners of the slots are not known yet. */
bool beats_settle(struct beats *beats, struct shard *shard,
                  struct errmsg *err) MUST_CHECK;

/* Wait until all shards were asked once, or could not be reached: before that it is
 * unknown what they remember of SHARD. Not longer than a connect may take. */
void beats_await(struct shard *shard);

/* Find what to tell SHARD: of itself nothing if it is new. */
void beats_compare(struct beats *beats, const struct shard *shard,
                   const struct dbresult *rows);

#endif
