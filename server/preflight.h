/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The look at all that a start or a reload relies on, before it does. */
#ifndef DOUSHARD_PREFLIGHT_H
#define DOUSHARD_PREFLIGHT_H

#include <stdbool.h>

#include "shard/base/check.h"

struct config;
struct errmsg;
struct config_report;

/* Look at the files and directories that CONFIG names, as a start would: the topology
 * parses, the token keys and the words parse, secrets have mode 0600, directories can be
 * written, programs can be run. False: *ERR says what is wrong. With a REPORT (else NULL)
 * all that is wrong is told there, and the answer is true; empty paths are left out, as
 * config_load_all() has told why they are. */
bool preflight_check(const struct config *config, struct config_report *report,
                     struct errmsg *err) MUST_CHECK;

#endif
