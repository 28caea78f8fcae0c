/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Pages of lists: how many rows to ask for, and whether there are more. */
#ifndef DOUSHARD_LISTING_H
#define DOUSHARD_LISTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/call.h"
#include "shard/dbresult.h"
#include "shard/outcome.h"

/* Most rows that a list procedure gives. */
#define LISTING_MAX 1000

/* A page of ids with their cursors, in the call's arena. */
struct listing {
    const struct dbresult *rows;
    uint64_t *ids; /* of row i */
    size_t n;
    uint64_t next_cursor; /* 0 at the end */
};

/* How many rows to ask for when a page has LIMIT: one more tells whether there is a next
 * page, unless the procedure gives no more. 1 <= LIMIT <= LISTING_MAX. */
size_t listing_ask(size_t limit);

/* Given N_ROWS for that, may there be more? At LISTING_MAX a full page says yes. */
bool listing_has_more(size_t n_rows, size_t limit);

/* May a page do without the cards of a shard that ended like this? */
bool listing_may_be_partial(enum outcome outcome);

/* What to read of a list. */
struct listing_spec {
    const char *routine; /* for messages */
    const char *id;      /* column; a row where it is NULL says that the list is empty */
    const char *cursor;  /* column; may be the same */
    const char
        *scanned; /* column of the first row: how far the procedure has looked, 0 = to
                   * the end; NULL for those that only end at the end or the limit */
    size_t limit; /* rows of a page */
};

/* Read a page from ROWS. OK, NOMEM, or INTERNAL: the columns cannot be read. */
enum outcome listing_read(struct call *call, const struct listing_spec *spec,
                          const struct dbresult *rows, struct listing *listing);

#endif
