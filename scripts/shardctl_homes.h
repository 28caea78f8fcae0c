/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Who is in a slot of his own: what a shard that was restored has not heard of that. */
#ifndef DOUSHARD_SCRIPTS_SHARDCTL_HOMES_H
#define DOUSHARD_SCRIPTS_SHARDCTL_HOMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/check.h"

#include "scripts/shardctl.h"

struct homes {
    uint64_t n_recovered; /* forwarding entries that were lost */
    uint64_t n_removed;   /* that led to where nobody is */
    uint64_t n_cleaned;   /* rows of users who are in their own slots */
};

/* How many forwarding entries of SHARD's slots are lost or lead to where nobody is, by
 * their numbers per own slot; n_cleaned stays 0. Changes nothing. False: said on standard
 * error. */
bool homes_look(const struct shardctl *ctl, size_t shard, struct homes *homes) MUST_CHECK;

/* Bring the forwarding entries of SHARD's slots back from the shards on which their
 * owners are, and remove what lies there of those. False: said on standard error; may be
 * done again. */
bool homes_settle(const struct shardctl *ctl, size_t shard,
                  struct homes *homes) MUST_CHECK;

#endif
