/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The configuration file of a mover: when it promotes by itself. */
#ifndef DOUSHARD_SCRIPTS_SHARDCTL_POLICY_H
#define DOUSHARD_SCRIPTS_SHARDCTL_POLICY_H

#include <stdbool.h>

#include "shard/base/check.h"

#include "shard/mover.h"

#include "server/config/config.h"

/* Read FILE into *POLICY; what it does not name stays as it is there. False: *ERR names
 * file and line, and *POLICY is unchanged. */
bool policy_read(struct mover_policy *policy, const char *file,
                 struct errmsg *err) MUST_CHECK;

#endif
