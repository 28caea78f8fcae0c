/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* How old data is noticed: a backup or a copy that was put back, a replica that was
 * behind.
 *
 * Every shard counts (shard_tick), and the minders tell each shard what the others had
 * counted to (shard_learn). One whose own number is below what any of them remembers is
 * older than it was: it is told, and refuses itself, durably; until it has, no connection
 * to it is used. A number is told only by the process whose CALL raised it: it is on disk
 * then, so that a shard that was merely restarted is never below it. */
#ifndef DOUSHARD_ROUTER_BEAT_H
#define DOUSHARD_ROUTER_BEAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/buf.h"
#include "shard/base/check.h"

#include "shard/dbresult.h"
#include "shard/router_impl.h"

/* What a shard says of itself and remembers of others, and is to be told. */
struct beats {
    uint64_t own;
    bool is_refused;
    struct buf json; /* the argument of shard_learn(), the last bracket open */
    unsigned n;      /* entries in it */
};

/* SHARD had BEAT on disk. */
void beat_remember(struct shard *shard, uint64_t beat);

/* May SHARD, which has counted to BEAT, be used? It may when it refuses everybody itself.
 * False: WHY says why not. */
bool beat_admit(struct shard *shard, uint64_t beat, bool is_refused, char *why,
                size_t size) MUST_CHECK;

/* Learn from ROWS, the answer of SHARD's shard_heard(). False: they cannot be read. */
bool beats_read(struct beats *beats, struct shard *shard,
                const struct dbresult *rows) MUST_CHECK;

/* Forget what is remembered of SHARD when that is of another one, which had its name and
 * was taken away: it has never counted itself, and nobody says that it has a slot. False,
 * with WHY (SIZE bytes): who has which slot is not known yet. */
bool beats_settle(const struct beats *beats, struct shard *shard, char *why,
                  size_t size) MUST_CHECK;

/* Wait until all shards were asked once, or looked at in vain: before that nobody knows
 * what they remember of SHARD. Not longer than a connect may take. */
void beats_await(struct shard *shard);

/* Find what SHARD is to be told. */
void beats_compare(struct beats *beats, const struct shard *shard,
                   const struct dbresult *rows);

#endif
