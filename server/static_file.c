/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* GET and HEAD of files that never change under their name. */
#include "server/static_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shard/base/log.h"

#include "server/app.h"
#include "server/config.h"
#include "server/handlers.h"
#include "server/request.h"
#include "server/routes.h"
#include "server/storage.h"

/* Longest name below /assets/. */
#define ASSET_NAME_MAX 64

#define MEDIA_LIFE  "public, max-age=31536000, immutable"
#define ASSETS_LIFE "public, max-age=86400"

/* ---- What to send ---- */

/* True when the list of entity tags LIST has ETAG, by the weak comparison, or is "*". */
static bool list_has(const char *list, const char *etag)
{
    size_t len = strlen(etag);
    const char *at = list + strspn(list, " \t");
    if (at[0] == '*' && at[1 + strspn(at + 1, " \t")] == '\0') {
        return true;
    }
    while (*at != '\0') {
        at += strspn(at, " \t,");
        if (strncmp(at, "W/", 2) == 0) {
            at += 2;
        }
        if (*at != '"') {
            return false; /* no list of entity tags, or its end */
        }
        const char *end = strchr(at + 1, '"');
        if (end == NULL) {
            return false;
        }
        if ((size_t)(end + 1 - at) == len && strncmp(at, etag, len) == 0) {
            return true;
        }
        at = end + 1;
    }
    return false;
}

/* Read digits at *AT into *VALUE and move *AT past them; a number beyond 2^63 stays
 * there. False: no digit. */
static bool read_number(const char **at, uint64_t *value)
{
    const char *start = *at;
    *value = 0;
    for (; **at >= '0' && **at <= '9'; (*at)++) {
        uint64_t digit = (uint64_t)(**at - '0');
        *value = *value > (INT64_MAX - digit) / 10 ? INT64_MAX : *value * 10 + digit;
    }
    return *at != start;
}

enum range_kind { RANGE_NONE, RANGE_PART, RANGE_BEYOND };

/* Understand "bytes=FIRST-LAST", "bytes=FIRST-" or "bytes=-COUNT" for a file of SIZE
 * bytes. */
static enum range_kind parse_range(const char *text, uint64_t size,
                                   struct static_plan *plan)
{
    uint64_t first = 0;
    uint64_t last = 0;
    if (strncasecmp(text, "bytes=", 6) != 0) {
        return RANGE_NONE;
    }
    const char *at = text + 6;
    at += strspn(at, " \t");
    bool has_first = read_number(&at, &first);
    if (*at++ != '-') {
        return RANGE_NONE;
    }
    bool has_last = read_number(&at, &last);
    at += strspn(at, " \t");
    if (*at != '\0' || (!has_first && !has_last) ||
        (has_first && has_last && last < first)) {
        return RANGE_NONE;
    }
    if (!has_first) {
        if (last == 0 || size == 0) {
            return RANGE_BEYOND;
        }
        plan->length = last < size ? last : size;
        plan->offset = size - plan->length;
        return RANGE_PART;
    }
    if (first >= size) {
        return RANGE_BEYOND;
    }
    if (!has_last || last >= size) {
        last = size - 1;
    }
    plan->offset = first;
    plan->length = last - first + 1;
    return RANGE_PART;
}

void static_file_plan(const struct static_request *request, const char *etag,
                      uint64_t size, struct static_plan *plan)
{
    *plan = (struct static_plan){.http_status = 200, .offset = 0, .length = size};
    if (request->if_none_match != NULL && list_has(request->if_none_match, etag)) {
        *plan = (struct static_plan){.http_status = 304};
        return;
    }
    if (request->range == NULL ||
        (request->if_range != NULL && strcmp(request->if_range, etag) != 0)) {
        return;
    }
    switch (parse_range(request->range, size, plan)) {
    case RANGE_NONE:
        break;
    case RANGE_PART:
        plan->http_status = 206;
        break;
    case RANGE_BEYOND:
        *plan = (struct static_plan){.http_status = 416};
        break;
    }
}

/* ---- Which file ---- */

/* A file and how it is served. */
struct source {
    int fd; /* owned; -1: there is none */
    const char *content_type;
    const char *life; /* Cache-Control */
};

static struct source open_media(const struct storage *storage, const char *rest)
{
    static const struct {
        const char *ending;
        const char *content_type;
        enum storage_part part;
    } kinds[] = {
        {".mp4", "video/mp4", STORAGE_VIDEO},
        {".jpg", "image/jpeg", STORAGE_COVER},
    };
    struct source source = {.fd = -1, .life = MEDIA_LIFE};
    size_t len = strlen(rest);
    if (len != STORAGE_NAME_LEN + 4) {
        return source;
    }
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (strcmp(rest + STORAGE_NAME_LEN, kinds[i].ending) == 0) {
            char name[STORAGE_NAME_LEN + 1];
            memcpy(name, rest, STORAGE_NAME_LEN);
            name[STORAGE_NAME_LEN] = '\0';
            source.content_type = kinds[i].content_type;
            source.fd = storage_open(storage, name, kinds[i].part);
        }
    }
    return source;
}

/* Assets have names of small letters, digits, '-', '_' and one ending: no paths. */
static struct source open_asset(const char *dir, const char *rest)
{
    static const struct {
        const char *ending;
        const char *content_type;
    } kinds[] = {{".png", "image/png"}, {".jpg", "image/jpeg"}};
    struct source source = {.fd = -1, .life = ASSETS_LIFE};
    size_t stem = strspn(rest, "abcdefghijklmnopqrstuvwxyz0123456789-_");
    if (stem == 0 || stem > ASSET_NAME_MAX) {
        return source;
    }
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (strcmp(rest + stem, kinds[i].ending) == 0) {
            source.content_type = kinds[i].content_type;
        }
    }
    if (source.content_type == NULL) {
        return source;
    }
    int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd >= 0) {
        source.fd = openat(dir_fd, rest, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        (void)close(dir_fd);
    }
    return source;
}

/* ---- The handler ---- */

/* Queue the answer by the plan; takes SOURCE's descriptor. A 304 names the length that a
 * 200 would have; libmicrohttpd sends no body with it. */
static void answer(struct request *req, const struct source *source, uint64_t size,
                   const struct static_plan *plan)
{
    char text[80];
    if (plan->http_status == 416) {
        (void)close(source->fd);
        reply_static(req, plan->http_status, source->content_type, "");
        (void)snprintf(text, sizeof text, "bytes */%" PRIu64, size);
        reply_header(req, "Content-Range", text);
        return;
    }
    struct reply_file file = {.fd = source->fd,
                              .offset = plan->offset,
                              .length = plan->http_status == 304 ? size : plan->length,
                              .http_status = plan->http_status,
                              .content_type = source->content_type};
    reply_file(req, &file);
    reply_header(req, "Cache-Control", source->life);
    if (plan->http_status == 206) {
        (void)snprintf(text, sizeof text, "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64,
                       plan->offset, plan->offset + plan->length - 1, size);
        reply_header(req, "Content-Range", text);
    }
}

/* What a browser shows where it is, and calls it when it is kept. The name is one that
 * was found: letters, digits, '-', '_' and a dot. */
static void name_file(struct request *req, const struct static_plan *plan)
{
    char text[sizeof "inline; filename=\"\"" + ASSET_NAME_MAX + 8];

    if (plan->http_status == 200 || plan->http_status == 206) {
        (void)snprintf(text, sizeof text, "inline; filename=\"%s\"", req->path_rest);
        reply_header(req, "Content-Disposition", text);
    }
}

/* A media file never changes under its NAME, so that the name is its validator, on every
 * server that has a copy. An asset (NULL) has its size and time. */
static void make_etag(const char *name, const struct stat *st, char *etag, size_t size)
{
    if (name != NULL) {
        (void)snprintf(etag, size, "\"%s\"", name);
        return;
    }
    (void)snprintf(etag, size, "\"%" PRIx64 "-%" PRIx64 "-%lx\"", (uint64_t)st->st_size,
                   (uint64_t)st->st_mtim.tv_sec, (unsigned long)st->st_mtim.tv_nsec);
}

void h_static_get(struct request *req)
{
    bool is_media = strcmp(req->route->path, STATIC_FILE_URL) == 0;
    struct source source =
        is_media ? open_media(req->app->storage, req->path_rest)
                 : open_asset(app_config(req->app)->assets_dir, req->path_rest);
    struct stat st;
    if (source.fd < 0) {
        if (source.content_type != NULL && errno != ENOENT) {
            log_write(LOG_ERROR, "static_open_failed", "file=\"%s\" error=\"%s\"",
                      req->path_rest, strerrordesc_np(errno));
        }
        reply_error(req, ERROR_NO_ROUTE, NULL);
        return;
    }
    if (fstat(source.fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        (void)close(source.fd);
        reply_error(req, ERROR_NO_ROUTE, NULL);
        return;
    }
    char etag[64];
    struct static_plan plan;
    uint64_t size = (uint64_t)st.st_size;
    make_etag(is_media ? req->path_rest : NULL, &st, etag, sizeof etag);
    static_file_plan(
        &(struct static_request){.range = req->headers.range,
                                 .if_range = req->headers.if_range,
                                 .if_none_match = req->headers.if_none_match},
        etag, size, &plan);
    answer(req, &source, size, &plan);
    name_file(req, &plan);
    reply_header(req, "ETag", etag);
    reply_header(req, "Accept-Ranges", "bytes");
}
