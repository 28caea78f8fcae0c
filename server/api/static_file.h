/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* GET and HEAD of media (/static/), whose handlers are in handlers.h, and
 * conditional and range answers for anything else with a validator. */
#ifndef DOUSHARD_API_STATIC_FILE_H
#define DOUSHARD_API_STATIC_FILE_H

#include <stdint.h>

struct request;

/* Cache-Control of files that never change. */
#define STATIC_FILE_FOREVER "public, max-age=31536000, immutable"

/* Header fields that decide what is sent; NULL: absent. */
struct static_request {
    const char *range;
    const char *if_range;
    const char *if_none_match;
};

/* What to send: for 200 and 206 LENGTH bytes from OFFSET on, else no part of the file. */
struct static_plan {
    unsigned http_status; /* 200, 206, 304 or 416 */
    uint64_t offset;
    uint64_t length;
};

/* Decide what to send of a file of SIZE bytes whose strong validator is ETAG (with its
 * quotes), by RFC 9110: If-None-Match comes before Range; a Range that is not one
 * well-formed range of bytes, or whose If-Range is another ETag or a date, is ignored.
 * Pure. */
void static_file_plan(const struct static_request *request, const char *etag,
                      uint64_t size, struct static_plan *plan);

/* The content asked for: a file, or bytes that live as long as the request. */
struct static_content {
    int fd;            /* taken over; -1: bytes */
    const char *bytes; /* (ref) */
    uint64_t size;
    const char *content_type; /* static text */
    const char *etag;         /* strong validator with its quotes; copied */
    const char *life;         /* Cache-Control; static text */
};

/* Answer with CONTENT, or the part of it that static_file_plan() says. Headers may be
 * added afterwards. Returns the HTTP status. */
unsigned static_file_reply(struct request *req, const struct static_content *content);

#endif
