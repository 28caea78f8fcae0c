/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Files that hold a secret: passwords of databases and of Redis. */
#ifndef DOUSHARD_CONFIG_SECRET_H
#define DOUSHARD_CONFIG_SECRET_H

#include <stdbool.h>
#include <stddef.h>

#include "shard/base/check.h"

struct errmsg;

/* Read the first line of FILE, at most SIZE - 1 bytes, without its line end, into SECRET.
 * The file must be ours or root's and closed to everybody else. The caller clears SECRET.
 * FILE "" gives ""; an empty first line is refused. */
bool secret_read(const char *file, char *secret, size_t size,
                 struct errmsg *err) MUST_CHECK;

#endif
