/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Who is in a slot of their own: what a restored shard has missed. */
#ifndef DOUSHARD_SCRIPTS_SHARDCTL_HOMES_H
#define DOUSHARD_SCRIPTS_SHARDCTL_HOMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/check.h"

#include "scripts/shardctl.h"

struct homes {
    uint64_t n_recovered; /* forwarding entries that were lost */
    uint64_t n_removed;   /* forwarding entries that led nowhere */
    uint64_t n_cleaned;   /* rows of users who are in own slots */
};

/* Count the forwarding entries of SHARD's slots that are lost or lead nowhere, by their
 * numbers per own slot; n_cleaned stays 0. Changes nothing. False: the reason is printed
 * on standard error. */
bool homes_look(const struct shardctl *ctl, size_t shard, struct homes *homes) MUST_CHECK;

/* Restore the forwarding entries of SHARD's slots from the shards on which their owners
 * are, and remove the owners' old rows from SHARD. False: the reason is printed on
 * standard error; may be called again. */
bool homes_settle(const struct shardctl *ctl, size_t shard,
                  struct homes *homes) MUST_CHECK;

#endif
