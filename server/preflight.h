/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The look at all that a start or a reload relies on, before it does. */
#ifndef DOUSHARD_PREFLIGHT_H
#define DOUSHARD_PREFLIGHT_H

#include <stdbool.h>

#include "shard/base/check.h"

struct config;
struct config_error;

/* Look at the files and directories that CONFIG names, as a start would: the topology
 * parses, the token keys and the words parse, secrets have mode 0600, directories can be
 * written, programs can be run. */
bool preflight_check(const struct config *config, struct config_error *err) MUST_CHECK;

#endif
