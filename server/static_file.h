/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* GET and HEAD of media (/static/) and of the built-in pictures (/assets/): types,
 * validators, one range. The handler is h_static_get() (handlers.h). */
#ifndef DOUSHARD_STATIC_FILE_H
#define DOUSHARD_STATIC_FILE_H

#include <stdint.h>

/* The prefixes of the two routes. */
#define STATIC_FILE_URL "/static/"
#define ASSETS_URL      "/assets/"

/* Header fields that decide what is sent; NULL: not there. */
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

#endif
