/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Result sets of a CALL, from the library's memory into an arena. */
#include <string.h>

#include "shard/dbconn_impl.h"

/* Most columns of one result set. */
#define COLUMNS_MAX 32

/* Whole numbers; the servers turn mixed signedness, as in a UNION, into DECIMAL(n, 0). */
static bool is_integer(const MYSQL_FIELD *field)
{
    switch (field->type) {
    case MYSQL_TYPE_TINY:
    case MYSQL_TYPE_SHORT:
    case MYSQL_TYPE_INT24:
    case MYSQL_TYPE_LONG:
    case MYSQL_TYPE_LONGLONG:
    case MYSQL_TYPE_YEAR:
        return true;
    case MYSQL_TYPE_DECIMAL:
    case MYSQL_TYPE_NEWDECIMAL:
        return field->decimals == 0;
    default:
        return false;
    }
}

/* One result set being copied into the arena. */
struct reading {
    struct dbresult *result;
    MYSQL_BIND bind[COLUMNS_MAX];
    unsigned long length[COLUMNS_MAX];
    my_bool is_null[COLUMNS_MAX];
    uint64_t number[COLUMNS_MAX];
};

/* Names of the columns and one buffer for each, wide enough for every row of this result.
 */
static bool bind_columns(struct reading *r, MYSQL_STMT *stmt, struct arena *arena)
{
    unsigned n = mysql_stmt_field_count(stmt);
    MYSQL_RES *meta = mysql_stmt_result_metadata(stmt);
    const char **names = arena_calloc(arena, n, sizeof *names);
    bool good = meta != NULL && names != NULL && n <= COLUMNS_MAX;

    for (unsigned i = 0; good && i < n; i++) {
        const MYSQL_FIELD *field = mysql_fetch_field_direct(meta, i);
        MYSQL_BIND *bind = &r->bind[i];
        names[i] = arena_strndup(arena, field->name, strlen(field->name));
        bind->length = &r->length[i];
        bind->is_null = &r->is_null[i];
        if (is_integer(field)) {
            bind->buffer_type = MYSQL_TYPE_LONGLONG;
            bind->is_unsigned = (field->flags & UNSIGNED_FLAG) != 0;
            bind->buffer = &r->number[i];
            bind->buffer_length = sizeof r->number[i];
        } else {
            bind->buffer_type = MYSQL_TYPE_STRING;
            bind->buffer_length = field->max_length + 1;
            bind->buffer = arena_alloc(arena, bind->buffer_length);
        }
        good = names[i] != NULL && bind->buffer != NULL;
    }
    if (meta != NULL) {
        mysql_free_result(meta);
    }
    r->result->columns = names;
    r->result->n_columns = n;
    return good && mysql_stmt_bind_result(stmt, r->bind) == 0;
}

static bool copy_row(const struct reading *r, struct dbvalue *values, struct arena *arena)
{
    for (unsigned i = 0; i < r->result->n_columns; i++) {
        struct dbvalue *value = &values[i];
        value->is_null = r->is_null[i] != 0;
        if (r->bind[i].buffer_type == MYSQL_TYPE_LONGLONG) {
            value->number = value->is_null ? 0 : r->number[i];
        } else if (!value->is_null) {
            value->len = r->length[i];
            value->text = arena_strndup(arena, r->bind[i].buffer, value->len);
            if (value->text == NULL) {
                return false;
            }
        }
    }
    return true;
}

/* Copy the stored result set into the arena. False: it does not fit. */
static bool read_result(MYSQL_STMT *stmt, struct arena *arena, struct dbresult *result)
{
    struct reading r = {.result = result};
    size_t n_rows = mysql_stmt_num_rows(stmt);

    if (!bind_columns(&r, stmt, arena)) {
        return false;
    }
    result->n_rows = n_rows;
    result->values =
        arena_calloc(arena, n_rows * result->n_columns, sizeof *result->values);
    if (result->values == NULL) {
        return false;
    }
    for (size_t row = 0; row < n_rows; row++) {
        if (mysql_stmt_fetch(stmt) != 0 ||
            !copy_row(&r, &result->values[row * result->n_columns], arena)) {
            return false;
        }
    }
    return true;
}

bool dbread_append(MYSQL_STMT *stmt, struct arena *arena, struct dbresult **results)
{
    struct dbresult *result = arena_calloc(arena, 1, sizeof *result);
    struct dbresult **end = results;

    if (result == NULL || !read_result(stmt, arena, result)) {
        return false;
    }
    while (*end != NULL) {
        end = &(*end)->next;
    }
    *end = result;
    return true;
}
