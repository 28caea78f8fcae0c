/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* JSON texts, read by jansson, also where memory is short: jansson itself then leaves
 * out characters of a text, or crashes. */
#ifndef DOUSHARD_BASE_JSON_IN_H
#define DOUSHARD_BASE_JSON_IN_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "shard/base/check.h"

/* Read LEN bytes of TEXT with jansson's FLAGS: *JSON is for json_decref(), or NULL: TEXT
 * is no JSON. False: memory was short, and *JSON is NULL. Thread-safe; nobody else may
 * call json_set_alloc_funcs(). */
bool json_in(const char *text, size_t len, size_t flags, json_t **json) MUST_CHECK;

#endif
