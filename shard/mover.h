/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The process that makes moves: claims what was asked for on any shard, and works on it.
 *
 * Any number of movers may run, on any machines. Who works on a move is decided by the
 * shard that gives the slot (move_claim); a mover that dies is followed by another one
 * when its lease is over. */
#ifndef DOUSHARD_MOVER_H
#define DOUSHARD_MOVER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "shard/base/check.h"

#include "shard/dbconn.h"
#include "shard/move.h"

/* A shard as a mover reaches it. */
struct mover_shard {
    const char *name;            /* (ref) */
    struct dbconn_target target; /* its strings are (ref) */
    bool durability_exempt;      /* it may lose acknowledged writes */
};

/* When a mover asks by itself for a user to get a slot of their own. */
struct mover_policy {
    unsigned percent;   /* of what a shard's slots cost of late; 0: never */
    unsigned per_hour;  /* promotions of a shard at most */
    unsigned slots_max; /* own slots of a shard at most */
};

struct mover_options {
    const struct mover_shard *shards; /* (ref) */
    size_t n_shards;
    const char *holder; /* (ref) this process, for people: host and number */
    unsigned threads;   /* moves at a time */
    unsigned moves_max; /* that one shard gives at a time */
    int poll_ms;        /* looks for requests so often */
    struct move_limits limits;
    struct mover_policy policy;
};

/* Good values for all but shards, n_shards and holder. */
struct mover_options mover_defaults(void);

/* Work until *STOP is true; then end after the steps that are under way, and give the
 * claims back. False: no memory or no threads. */
bool mover_run(const struct mover_options *options, const atomic_bool *stop) MUST_CHECK;

#endif
