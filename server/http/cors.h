/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Cross-origin resource sharing (CORS): which pages of other origins may read our answers
 * in a browser. The option cors_origins lists them; an answer names only the origin of
 * the page that asks, and never allows cookies, since there are none. With an empty list
 * no answer has these headers. Any thread that owns the request may call these. */
#ifndef DOUSHARD_HTTP_CORS_H
#define DOUSHARD_HTTP_CORS_H

#include <stdbool.h>

#include "shard/base/check.h"

struct request;

/* Add the headers of LIST for the origin that the request names to the answer of REQ. */
void cors_tell(struct request *req, const char *list);

/* Answer a preflight request: may a page of this origin use our path with the methods
 * ALLOW? True: it may, and is told so. False: not answered, because it may not, or REQ is
 * not a preflight request. */
bool cors_preflight(struct request *req, const char *list, const char *allow) MUST_CHECK;

#endif
