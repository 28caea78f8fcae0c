/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* GET and HEAD of files built into the program. */
#include "server/api/site.h"

#include <string.h>
#include <strings.h>

#include "shard/base/arena.h"

#include "server/api/handlers.h"
#include "server/api/static_file.h"
#include "server/api/views.h"
#include "server/request/request.h"
#include "server/request/route.h"

/* ---- Compressed or not ---- */

#define BLANKS " \t"

static bool has_prefix(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Do the parameters at AT, each after a ';', give a weight of more than 0? */
static bool is_wanted(const char *at)
{
    while (*at == ';') {
        at += 1 + strspn(at + 1, BLANKS);
        if (strncasecmp(at, "q=", 2) == 0) {
            char digit = at[2 + strspn(at + 2, "0.")];
            return digit >= '1' && digit <= '9';
        }
        at += strcspn(at, ";,");
    }
    return true;
}

bool site_takes_gzip(const char *accept_encoding)
{
    const char *at = accept_encoding != NULL ? accept_encoding : "";
    bool any = false;

    while (*(at += strspn(at, BLANKS ",")) != '\0') {
        size_t len = strcspn(at, BLANKS ";,");
        const char *rest = at + len + strspn(at + len, BLANKS);

        if ((len == 4 && strncasecmp(at, "gzip", 4) == 0) ||
            (len == 6 && strncasecmp(at, "x-gzip", 6) == 0)) {
            return is_wanted(rest);
        }
        if (len == 1 && *at == '*') {
            any = is_wanted(rest);
        }
        at = rest + strcspn(rest, ",");
    }
    return any;
}

/* ---- How a file is served ---- */

/* What a page may load; no inline code or style, so that injected text does nothing.
 * Media are on %s, which may be another origin than the page's; a clip is previewed as a
 * blob: before it is sent. */
#define PAGE_POLICY                                                                      \
    "default-src 'self'; img-src 'self' %s; media-src 'self' blob: %s; "                 \
    "connect-src 'self' %s; object-src 'none'; base-uri 'none'; form-action 'self'; "    \
    "frame-ancestors 'none'"

/* Swagger UI writes styles into its elements, and has its icons in its style sheet. */
#define DOCS_POLICY                                                                      \
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "       \
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

/* The origin of URL, which is one of http or https. */
static const char *origin_of(struct request *req, const char *url)
{
    const char *host = strstr(url, "://");
    size_t len = host != NULL ? (size_t)(host - url) + 3 : 0;

    return arena_strndup(&req->arena, url, len + strcspn(url + len, "/"));
}

static const char *page_policy(struct request *req)
{
    const char *url = view_base_url(req);
    const char *origin = url != NULL ? origin_of(req, url) : NULL;

    return origin == NULL
               ? NULL
               : arena_printf(&req->arena, PAGE_POLICY, origin, origin, origin);
}

/* Set the headers that only a page needs. Out of memory it keeps the policy that allows
 * nothing. */
static void protect_page(struct request *req, const struct site_file *file)
{
    const char *policy = has_prefix(file->url, "/docs/") ? DOCS_POLICY : page_policy(req);

    if (policy != NULL) {
        reply_header(req, "Content-Security-Policy", policy);
    }
    reply_header_static(req, "Cross-Origin-Opener-Policy", "same-origin");
}

/* How long a copy may be used without asking. The build gives a file below /web/ another
 * name when its contents change. */
static const char *life_of(const struct site_file *file)
{
    return has_prefix(file->url, "/web/")      ? STATIC_FILE_FOREVER
           : has_prefix(file->url, "/assets/") ? "public, max-age=86400"
                                               : "no-cache";
}

/* ---- The handler ---- */

/* Is URL the route's PATH, whose final slash a file's path does not have, followed by
 * PATH_REST? */
static bool is_asked_for(const char *url, const char *path, const char *path_rest)
{
    size_t len = strlen(path) - 1;

    if (strncmp(url, path, len) != 0) {
        return false;
    }
    return url[len] == '/' ? strcmp(url + len + 1, path_rest) == 0
                           : url[len] == '\0' && path_rest[0] == '\0';
}

/* The file of this request. NULL: there is none. */
static const struct site_file *find_file(const struct request *req)
{
    size_t n;
    const struct site_file *table = site_table(&n);

    for (size_t i = 0; i < n; i++) {
        if (is_asked_for(table[i].url, req->route->path, req->path_rest)) {
            return &table[i];
        }
    }
    return NULL;
}

/* A range refers to the uncompressed file. */
static const struct site_form *choose_form(const struct request *req,
                                           const struct site_file *file)
{
    return file->gzip.bytes != NULL && req->headers.range == NULL &&
                   site_takes_gzip(req->headers.accept_encoding)
               ? &file->gzip
               : &file->plain;
}

void h_site_get(struct request *req)
{
    const struct site_file *file = find_file(req);

    if (file == NULL) {
        reply_error(req, ERROR_NO_ROUTE, NULL);
        return;
    }
    const struct site_form *form = choose_form(req, file);
    static_file_reply(req, &(struct static_content){.fd = -1,
                                                    .bytes = form->bytes,
                                                    .size = form->size,
                                                    .content_type = file->content_type,
                                                    .etag = form->etag,
                                                    .life = life_of(file)});
    if (form == &file->gzip) {
        reply_header_static(req, "Content-Encoding", "gzip");
    }
    if (file->gzip.bytes != NULL) {
        reply_header_static(req, "Vary", "Accept-Encoding");
    }
    if (has_prefix(file->content_type, "text/html")) {
        protect_page(req, file);
    }
}
