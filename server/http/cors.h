/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Cross-origin resource sharing (CORS): which pages of other origins a browser lets read
 * what we answer. The option cors_origins lists them; a page is told about no other
 * origin than its own, and never that it may send cookies, of which we have none. With an
 * empty list no answer speaks of it. Any thread that owns the request may call these. */
#ifndef DOUSHARD_HTTP_CORS_H
#define DOUSHARD_HTTP_CORS_H

#include <stdbool.h>

#include "shard/base/check.h"

struct request;

/* Add what the answer of REQ says about LIST to a page of the origin that the request
 * names. */
void cors_tell(struct request *req, const char *list);

/* Answer a preflight: may a page of this origin ask our path with the methods ALLOW?
 * True: it may, and is told so. False: nothing is answered, since it may not, or the
 * request is none. */
bool cors_preflight(struct request *req, const char *list, const char *allow) MUST_CHECK;

#endif
