/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Lists of origins, the scheme, host and port that a page comes from: those of the option
 * cors_origins. Pure. */
#ifndef DOUSHARD_BASE_ORIGIN_H
#define DOUSHARD_BASE_ORIGIN_H

#include <stdbool.h>

#include "shard/base/check.h"

/* What is wrong with LIST, origins with commas between them, as browsers write them:
 * "https://a.example" or "http://127.0.0.1:5173". NULL: nothing; else static text, and
 * *AT is the word that it is about. */
const char *origin_list_fault(const char *list, const char **at) MUST_CHECK;

/* Is ORIGIN, byte for byte, in a LIST without fault? */
bool origin_list_has(const char *list, const char *origin);

#endif
