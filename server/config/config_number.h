/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Numbers as people write them: 8080, "256M", "30s". Pure. */
#ifndef DOUSHARD_CONFIG_CONFIG_NUMBER_H
#define DOUSHARD_CONFIG_CONFIG_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

#include "shard/base/check.h"

#include "server/config/config_option.h"

/* Size of a number and its unit, with the NUL. */
#define CONFIG_NUMBER_BYTES 24

/* Read TEXT as a number of this KIND: whole, with a unit where the kind has units. A size
 * without a unit is in bytes; a time without one must be 0. *VALUE is in bytes,
 * milliseconds (KIND_TIME_MS) or seconds (KIND_TIME_S), limited to what it can hold.
 * False: TEXT is not a number, see config_number_form(). */
bool config_number_parse(enum config_kind kind, const char *text,
                         int64_t *value) MUST_CHECK;

/* Write VALUE to TEXT (CONFIG_NUMBER_BYTES) with the largest unit that has no fraction.
 * Returns TEXT. */
const char *config_number_text(enum config_kind kind, int64_t value, char *text);

/* "a time such as 200ms, 30s, 5min or 2h": what is accepted. Static text. */
const char *config_number_form(enum config_kind kind);

#endif
