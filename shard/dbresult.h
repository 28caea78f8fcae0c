/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The answer of a CALL, and tables that say how a row becomes a struct. */
#ifndef DOUSHARD_DBRESULT_H
#define DOUSHARD_DBRESULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/arena.h"
#include "shard/base/check.h"

struct dbvalue {
    const char *text; /* NUL-terminated; NULL for a number and for SQL's NULL */
    size_t len;
    uint64_t number; /* of integer columns; negative ones in two's complement */
    bool is_null;
};

/* One result set. Everything lives in the arena it was read into. */
struct dbresult {
    const char *const *columns;
    unsigned n_columns;
    size_t n_rows;
    struct dbvalue *values; /* n_rows * n_columns, row by row */
    struct dbresult *next;  /* the following result set of the same CALL, or NULL */
};

/* Where the answer to one operation is. */
struct dbplace {
    const struct dbresult *result; /* NULL: it has no answer */
    size_t row;
};

enum dbfield_kind {
    DBFIELD_U64,  /* uint64_t */
    DBFIELD_I64,  /* int64_t */
    DBFIELD_U32,  /* uint32_t; a larger number is an error */
    DBFIELD_TEXT, /* const char *, pointing into the result */
};

/* Column NAME goes to OFFSET of the struct. */
struct dbfield {
    const char *column;
    enum dbfield_kind kind;
    size_t offset;
};

/* The position of a column, or -1. */
int dbresult_column(const struct dbresult *result, const char *column);

/* The value at ROW in COLUMN; NULL when there is no such row or column. */
const struct dbvalue *dbresult_value(const struct dbresult *result, size_t row,
                                     const char *column);

/* Fill OUT from ROW. False when a column is missing, NULL or of another type, so that
 * this version cannot read the answer; OUT may then be partly written. */
bool dbresult_read(const struct dbresult *result, size_t row,
                   const struct dbfield *fields, size_t n_fields, void *out) MUST_CHECK;

/* Find the rows of the operations 1 to N of a CALL, into PLACES[0] to PLACES[N - 1].
 * Result sets with columns `n` and `code` answer operations, others are extra data. A
 * routine may answer some operations in one result set and those that it refuses in a
 * further one: the first row with an operation's number is its answer, as in a list. */
void dbresult_places(const struct dbresult *results, struct dbplace *places, size_t n);

#endif
