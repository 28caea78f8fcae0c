/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* libconfig files, read so that no number is wrapped and every error has a line.
 * Libconfig 1.5 does not look whether it got memory: where it gets none, the program
 * ends. */
#ifndef DOUSHARD_CONFIG_CONFIG_FILE_H
#define DOUSHARD_CONFIG_CONFIG_FILE_H

#include <libconfig.h>
#include <stdbool.h>
#include <stddef.h>

#include "shard/base/check.h"

#include "server/config/config.h"

/* Largest file. */
#define CONFIG_FILE_MAX_BYTES ((size_t)1 << 20)

/* Say what is wrong; LINE 0 leaves the line out, FILE NULL both. Always returns false. */
bool config_fail(struct errmsg *err, const char *file, int line, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

/* Parse the regular file FILE into *PARSED, which need not be initialised; end with
 * config_destroy(). False: *ERR names file and line, *PARSED needs no end. */
bool config_file_read(config_t *parsed, const char *file, struct errmsg *err) MUST_CHECK;

/* The same for LEN bytes in memory; FILE is only the name for errors. */
bool config_file_parse(config_t *parsed, const char *text, size_t len, const char *file,
                       struct errmsg *err) MUST_CHECK;

/* The integer in SETTING, of any width. False: it is not an integer. */
bool config_file_integer(const config_setting_t *setting, int64_t *value) MUST_CHECK;

/* The line of SETTING in the file. */
int config_file_line(const config_setting_t *setting);

/* "a string", "a number with a fraction", ...: the type of SETTING. Static text. */
const char *config_file_type(const config_setting_t *setting);

#endif
