/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The checks of everything that a start or a reload needs, made before it. */
#ifndef DOUSHARD_PREFLIGHT_H
#define DOUSHARD_PREFLIGHT_H

#include <stdbool.h>

#include "shard/base/check.h"

struct config;
struct errmsg;
struct config_report;

/* Check the files and directories that CONFIG names: the topology
 * parses, the token keys and the words parse, secrets have mode 0600, directories can be
 * written, programs can be run. False: *ERR says what is wrong. With a REPORT (else NULL)
 * every mistake is reported there, and the result is true; empty paths are skipped, since
 * config_load_all() has reported why they are empty. */
bool preflight_check(const struct config *config, struct config_report *report,
                     struct errmsg *err) MUST_CHECK;

/* The same before a reload, but for media_dir and upload_dir: a reload does not change
 * them, and their disk may hang. */
bool preflight_check_reload(const struct config *config, struct errmsg *err) MUST_CHECK;

#endif
