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

/* Limit of rows that a list procedure returns. */
#define LISTING_MAX 1000

/* A page of ids with their cursors, in the call's arena. */
struct listing {
    const struct dbresult *rows;
    uint64_t *ids; /* of row i */
    size_t n;
    uint64_t next_cursor; /* 0 at the end */
};

/* How many rows to ask for when a page has LIMIT: one more shows whether there is a next
 * page, unless the procedure's limit forbids it. 1 <= LIMIT <= LISTING_MAX. */
size_t listing_ask(size_t limit);

/* May there be more when that gave N_ROWS? At LISTING_MAX a full page counts as yes. */
bool listing_has_more(size_t n_rows, size_t limit);

/* May a page be shown without the cards of a shard whose CALL ended like this? */
bool listing_may_be_partial(enum outcome outcome);

/* What to read of a list. */
struct listing_spec {
    const char *routine; /* for messages */
    const char *id;      /* column; a row with NULL in it means that the list is empty */
    const char *cursor;  /* column; may be the same */
    const char
        *scanned; /* column of the first row: how far the procedure has read, 0 = to the
                   * end; NULL for procedures that stop only at the end or the limit */
    size_t limit; /* rows per page */
};

/* Read a page from ROWS. OK, NOMEM, or INTERNAL: the columns cannot be read. */
enum outcome listing_read(struct call *call, const struct listing_spec *spec,
                          const struct dbresult *rows, struct listing *listing);

#endif
