/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What operators type and read: times, rates, numbers, lists of slots; and asking for
 * confirmation.
 */
#ifndef DOUSHARD_SCRIPTS_SHARDCTL_UNITS_H
#define DOUSHARD_SCRIPTS_SHARDCTL_UNITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/check.h"

#include "shard/slotset.h"

#include "scripts/shardctl.h"

/* Room for any of the texts below. */
#define UNITS_TEXT 32

/* "500ms", "30s", "5min", "1h", "2d" or "0" as ms, at most MAX_MS: the units of the
 * server's options. False: it is not one. */
bool units_read_duration(const char *text, int64_t max_ms, int64_t *ms) MUST_CHECK;

/* "5000/s", "5000", "300000/min" as rows a second; "0" or "none" is 0: no limit. False:
 * it is not a rate. */
bool units_read_rate(const char *text, uint32_t *rows_per_s) MUST_CHECK;

/* Add "17,19,100-120" to SLOTS. False: the reason is printed on standard error. */
bool units_read_slots(const char *text, struct slotset *slots) MUST_CHECK;

/* "3.2 s", "12 min", "1 h 5 min"; written to TEXT, as with all below. */
const char *units_duration(int64_t ms, char text[UNITS_TEXT]);

/* "12,345" */
const char *units_number(uint64_t number, char text[UNITS_TEXT]);

/* Ask for confirmation: yes with --yes, else the user is asked QUESTION. Without a
 * terminal the answer is no, with a message. 0: do it, else the exit status. */
int units_confirm(const struct shardctl *ctl, const char *question);

#endif
