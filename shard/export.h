/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The exporter: everything that the service keeps about one user, page by page.
 *
 * The rows are on the user's shard; the texts of the user's comments are with the videos,
 * on any shard. It reads only, may run beside any load, and can try any page again. */
#ifndef DOUSHARD_EXPORT_H
#define DOUSHARD_EXPORT_H

#include <stddef.h>
#include <stdint.h>

#include "shard/base/check.h"

#include "shard/call.h"
#include "shard/outcome.h"

struct router;

/* The parts of an export, in this order. */
enum export_part {
    EXPORT_PROFILE, /* one item */
    EXPORT_SESSIONS,
    EXPORT_VIDEOS,
    EXPORT_FOLLOWS,
    EXPORT_FOLLOWERS,
    EXPORT_FAVORITES,
    EXPORT_COMMENTS,
    EXPORT_MESSAGES,
    EXPORT_PART__COUNT
};

/* "profile", "sessions". Static text. */
const char *export_part_name(enum export_part part);

/* The item after which to go on; zeroes: the beginning. */
struct export_place {
    enum export_part part;
    uint64_t after[2];
};

/* Texts live in the call's arena. */
struct export_item {
    const char *json; /* an object */
    const char *text; /* of a comment; NULL: not a comment, or it was deleted */
};

struct export_page {
    struct export_item *items; /* in the call's arena */
    size_t n;
};

/* Read the next page of USER_ID and move *PLACE past it; *PLACE with part
 * EXPORT_PART__COUNT: the end. NOTFOUND: there never was such a user. Anything but OK:
 * *PLACE is untouched and the page may be tried again; call->detail says why. Blocks
 * until call->deadline_ms at the latest. */
enum outcome export_read(struct router *router, struct call *call, uint64_t user_id,
                         struct export_place *place, struct export_page *page) MUST_CHECK;

#endif
