/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The headers that say which pages may read our answers. */
#include "server/http/cors.h"

#include "server/base/origin.h"
#include "server/request/reply.h"
#include "server/request/request.h"

/* Headers that a page may send besides those that every page may. */
#define REQUEST_HEADERS                                                                  \
    "Authorization, Content-Type, Idempotency-Key, If-None-Match, If-Range, Range"

/* Headers that it may read besides those that every page may. */
#define ANSWER_HEADERS                                                                   \
    "Accept-Ranges, Allow, Content-Disposition, Content-Encoding, Content-Range, ETag, " \
    "X-Request-Id"

/* Browsers ask again after this time; none of them caches longer than two hours. */
#define PREFLIGHT_SECONDS "7200"

static bool is_allowed(const struct request *req, const char *list)
{
    const char *origin = req->headers.origin;

    return origin != NULL && origin_list_has(list, origin);
}

void cors_tell(struct request *req, const char *list)
{
    if (list[0] == '\0') {
        return;
    }
    /* Also without an Origin: a cache must not give this answer to a page of another
     * origin.
     */
    reply_header_static(req, "Vary", "Origin");
    if (is_allowed(req, list)) {
        reply_header_static(req, "Access-Control-Allow-Origin", req->headers.origin);
        reply_header_static(req, "Access-Control-Expose-Headers", ANSWER_HEADERS);
    }
}

bool cors_preflight(struct request *req, const char *list, const char *allow)
{
    if (!req->headers.is_preflight || !is_allowed(req, list)) {
        return false;
    }
    reply_static(req, 204, NULL, "");
    reply_header(req, "Access-Control-Allow-Methods", allow);
    reply_header_static(req, "Access-Control-Allow-Headers", REQUEST_HEADERS);
    reply_header_static(req, "Access-Control-Max-Age", PREFLIGHT_SECONDS);
    return true;
}
