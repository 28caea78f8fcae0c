/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The configuration file of a mover: when to promote users by itself. */
#ifndef DOUSHARD_SCRIPTS_SHARDCTL_POLICY_H
#define DOUSHARD_SCRIPTS_SHARDCTL_POLICY_H

#include <stdbool.h>

#include "shard/base/check.h"

#include "shard/mover.h"

#include "server/config/config.h"

/* Read FILE into *POLICY; what the file does not name stays as it is. False: *ERR names
 * file and line, and *POLICY is unchanged. */
bool policy_read(struct mover_policy *policy, const char *file,
                 struct errmsg *err) MUST_CHECK;

#endif
