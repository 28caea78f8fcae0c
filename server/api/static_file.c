/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* GET and HEAD of media, and conditional and range answers for anything with a
 * validator. */
#include "server/api/static_file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "shard/base/log.h"

#include "server/api/handlers.h"
#include "server/base/app.h"
#include "server/media/storage.h"
#include "server/request/request.h"

/* A name with ".mp4" or ".jpg". */
#define MEDIA_NAME_LEN (STORAGE_NAME_LEN + 4)

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

/* ---- The answer ---- */

/* Answer with the body of the plan. A 304 names the length that a 200 would have;
 * libmicrohttpd sends no body with it. */
static void reply_body(struct request *req, const struct static_content *content,
                       const struct static_plan *plan)
{
    char text[80];

    if (plan->http_status == 416) {
        if (content->fd >= 0) {
            (void)close(content->fd);
        }
        reply_static(req, plan->http_status, content->content_type, "");
        (void)snprintf(text, sizeof text, "bytes */%" PRIu64, content->size);
        reply_header(req, "Content-Range", text);
        return;
    }
    reply_file(req, &(struct reply_file){
                        .fd = content->fd,
                        .bytes = content->bytes,
                        .offset = plan->offset,
                        .length = plan->http_status == 304 ? content->size : plan->length,
                        .http_status = plan->http_status,
                        .content_type = content->content_type});
    reply_header_static(req, "Cache-Control", content->life);
    if (plan->http_status == 206) {
        (void)snprintf(text, sizeof text, "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64,
                       plan->offset, plan->offset + plan->length - 1, content->size);
        reply_header(req, "Content-Range", text);
    }
}

unsigned static_file_reply(struct request *req, const struct static_content *content)
{
    struct static_plan plan;

    static_file_plan(
        &(struct static_request){.range = req->headers.range,
                                 .if_range = req->headers.if_range,
                                 .if_none_match = req->headers.if_none_match},
        content->etag, content->size, &plan);
    reply_body(req, content, &plan);
    reply_header(req, "ETag", content->etag);
    reply_header_static(req, "Accept-Ranges", "bytes");
    return plan.http_status;
}

/* ---- Media ---- */

/* What REST, the end of a path, names: a base name and a part, by its ending. */
struct media_name {
    char base[STORAGE_NAME_LEN + 1];
    enum storage_part part;
    const char *content_type;
};

/* False: no file can have this name. */
static bool read_name(const char *rest, struct media_name *name)
{
    static const struct {
        const char *ending;
        const char *content_type;
        enum storage_part part;
    } kinds[] = {
        {".mp4", "video/mp4", STORAGE_VIDEO},
        {".jpg", "image/jpeg", STORAGE_COVER},
    };

    if (strlen(rest) != MEDIA_NAME_LEN) {
        return false;
    }
    memcpy(name->base, rest, STORAGE_NAME_LEN);
    name->base[STORAGE_NAME_LEN] = '\0';
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (strcmp(rest + STORAGE_NAME_LEN, kinds[i].ending) == 0) {
            name->content_type = kinds[i].content_type;
            name->part = kinds[i].part;
            return true;
        }
    }
    return false;
}

/* Browsers show the file in place, and save it under this name. The file was found, so
 * its name has only letters, digits, '-', '_' and a dot. */
static void name_file(struct request *req)
{
    char text[sizeof "inline; filename=\"\"" + MEDIA_NAME_LEN];

    (void)snprintf(text, sizeof text, "inline; filename=\"%s\"", req->path_rest);
    reply_header(req, "Content-Disposition", text);
}

/* A media file never changes, so its name is its validator on every server. */
static void reply_media(struct request *req, const struct storage_file *file,
                        const char *content_type)
{
    char etag[MEDIA_NAME_LEN + sizeof "\"\""];

    (void)snprintf(etag, sizeof etag, "\"%s\"", req->path_rest);
    unsigned http_status =
        static_file_reply(req, &(struct static_content){.fd = file->fd,
                                                        .bytes = file->bytes,
                                                        .size = file->size,
                                                        .content_type = content_type,
                                                        .etag = etag,
                                                        .life = STATIC_FILE_FOREVER});
    if (http_status == 200 || http_status == 206) {
        name_file(req);
    }
}

bool h_static_quick(struct request *req)
{
    struct media_name name;
    struct storage_file file;
    bool is_known =
        read_name(req->path_rest, &name) &&
        storage_recall(req->app->storage, name.base, name.part, &req->arena, &file);

    if (is_known) {
        reply_media(req, &file, name.content_type);
    }
    return is_known;
}

void h_static_get(struct request *req)
{
    struct media_name name;
    struct storage_file file;

    if (!read_name(req->path_rest, &name)) {
        reply_error(req, ERROR_NO_ROUTE, NULL);
        return;
    }
    if (storage_get(req->app->storage, name.base, name.part, &req->arena, &file)) {
        reply_media(req, &file, name.content_type);
        return;
    }
    if (errno == ENOENT) {
        reply_error(req, ERROR_NO_ROUTE, NULL);
        return;
    }
    log_write(LOG_ERROR, "static_open_failed", "file=\"%s\" error=\"%s\"", req->path_rest,
              strerrordesc_np(errno));
    reply_error(req, ERROR_UNAVAILABLE, NULL);
}
