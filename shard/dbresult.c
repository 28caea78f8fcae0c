/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The answer of a CALL, and tables that say how a row becomes a struct. */
#include "shard/dbresult.h"

#include <string.h>

/* The position of COLUMN, searched cyclically from FIRST on; n_columns: none. */
static unsigned find_column(const struct dbresult *result, const char *column,
                            unsigned first)
{
    unsigned at = first;

    for (unsigned i = 0; i < result->n_columns; i++) {
        if (at >= result->n_columns) {
            at = 0;
        }
        if (strcmp(result->columns[at], column) == 0) {
            return at;
        }
        at++;
    }
    return result->n_columns;
}

int dbresult_column(const struct dbresult *result, const char *column)
{
    unsigned at = find_column(result, column, 0);

    return at < result->n_columns ? (int)at : -1;
}

const struct dbvalue *dbresult_value(const struct dbresult *result, size_t row,
                                     const char *column)
{
    if (result == NULL || row >= result->n_rows) {
        return NULL;
    }
    int i = dbresult_column(result, column);

    return i < 0 ? NULL : &result->values[row * result->n_columns + (unsigned)i];
}

static bool read_field(const struct dbvalue *value, enum dbfield_kind kind, char *out)
{
    uint32_t narrow = (uint32_t)value->number;

    switch (kind) {
    case DBFIELD_U64:
    case DBFIELD_I64:
        memcpy(out, &value->number, sizeof value->number);
        return value->text == NULL;
    case DBFIELD_U32:
        memcpy(out, &narrow, sizeof narrow);
        return value->text == NULL && narrow == value->number;
    case DBFIELD_TEXT:
        memcpy(out, &value->text, sizeof value->text);
        return value->text != NULL;
    }
    return false;
}

bool dbresult_read(const struct dbresult *result, size_t row,
                   const struct dbfield *fields, size_t n_fields, void *out)
{
    unsigned at = 0; /* fields are mostly in the order of the columns */

    if (result == NULL || row >= result->n_rows) {
        return false;
    }
    for (size_t i = 0; i < n_fields; i++) {
        at = find_column(result, fields[i].column, at);
        if (at == result->n_columns) {
            return false;
        }
        const struct dbvalue *value = &result->values[row * result->n_columns + at];
        if (value->is_null ||
            !read_field(value, fields[i].kind, (char *)out + fields[i].offset)) {
            return false;
        }
        at++;
    }
    return true;
}

/* Place the rows of one result set; COLUMN has the operation's number. */
static void place_rows(const struct dbresult *result, unsigned column,
                       struct dbplace *places, size_t n)
{
    for (size_t row = 0; row < result->n_rows; row++) {
        const struct dbvalue *op = &result->values[row * result->n_columns + column];
        bool is_op = !op->is_null && op->text == NULL && op->number - 1 < n;
        if (is_op && places[op->number - 1].result == NULL) {
            places[op->number - 1] = (struct dbplace){.result = result, .row = row};
        }
    }
}

void dbresult_places(const struct dbresult *results, struct dbplace *places, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        places[i] = (struct dbplace){.result = NULL};
    }
    for (const struct dbresult *r = results; r != NULL; r = r->next) {
        int column = dbresult_column(r, "n");
        if (column >= 0 && dbresult_column(r, "code") >= 0) {
            place_rows(r, (unsigned)column, places, n);
        }
    }
}
