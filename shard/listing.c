/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Pages of lists: how many rows to ask for, and whether there are more. */
#include "shard/listing.h"

#include "shard/base/check.h"

#include "shard/id.h"

size_t listing_ask(size_t limit)
{
    CHECK(limit >= 1 && limit <= LISTING_MAX);
    return limit < LISTING_MAX ? limit + 1 : LISTING_MAX;
}

bool listing_has_more(size_t n_rows, size_t limit)
{
    return n_rows >= listing_ask(limit);
}

bool listing_may_be_partial(enum outcome outcome)
{
    return outcome == OUTCOME_UNAVAILABLE || outcome == OUTCOME_TIMEOUT ||
           outcome == OUTCOME_BUSY;
}

/* Read the ids of the page; *CURSOR is that of its last row. False: they cannot be
 * read. */
static bool read_ids(const struct listing_spec *spec, struct listing *listing,
                     uint64_t *cursor)
{
    const struct dbresult *rows = listing->rows;

    for (size_t row = 0; row < rows->n_rows && row < spec->limit; row++) {
        const struct dbvalue *id = dbresult_value(rows, row, spec->id);
        const struct dbvalue *place = dbresult_value(rows, row, spec->cursor);
        if (id == NULL || place == NULL) {
            return false;
        }
        if (id->is_null) {
            return row == 0;
        }
        if (!id_is_valid(id->number) || place->is_null || place->number == 0) {
            return false;
        }
        listing->ids[listing->n++] = id->number;
        *cursor = place->number;
    }
    return true;
}

static bool read_scanned(const struct listing_spec *spec, const struct dbresult *rows,
                         uint64_t *scanned)
{
    const struct dbfield field = {.column = spec->scanned, .kind = DBFIELD_U64};

    return spec->scanned == NULL || dbresult_read(rows, 0, &field, 1, scanned);
}

enum outcome listing_read(struct call *call, const struct listing_spec *spec,
                          const struct dbresult *rows, struct listing *listing)
{
    uint64_t cursor = 0;
    uint64_t scanned = 0;

    *listing = (struct listing){.rows = rows};
    listing->ids = arena_calloc(call->arena, rows->n_rows, sizeof *listing->ids);
    if (listing->ids == NULL) {
        return call_no_memory(call);
    }
    if (!read_ids(spec, listing, &cursor) || !read_scanned(spec, rows, &scanned)) {
        call_explain(call, "%s answered columns that cannot be read", spec->routine);
        return OUTCOME_INTERNAL;
    }
    listing->next_cursor = listing_has_more(rows->n_rows, spec->limit) ? cursor : scanned;
    return OUTCOME_OK;
}
