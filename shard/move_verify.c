/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Are the rows of both sides the same? Sums of chunks are compared while the slot is
 * written: the rows of a chunk whose sums differ are compared one by one, and those that
 * differ are suspect until the journal was drained, at the latest until nobody writes. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/base/clock.h"
#include "shard/base/hex.h"

#include "shard/move_impl.h"

#define CHUNK_ROWS 1000

/* A copy in which more rows differ is no copy. */
#define SUSPECTS_MAX 50000

/* So often what differs is looked at while the slot is written. */
#define LOOKS_MAX 5

/* Bytes of the keys of one table that are suspect. */
#define KEYS_MAX ((size_t)4 << 20)

/* Rows behind one key up to another one, and their sum at FROM. */
struct range {
    size_t table;
    char after[512], upto[512]; /* "": from the first on; up to the last one */
    uint64_t limit, n;          /* rows that it may have, and has */
    char sum[33];               /* MD5 of their text */
};

static uint64_t number_of(const struct dbresult *result, const char *column)
{
    const struct dbvalue *value = dbresult_value(result, 0, column);

    return value == NULL ? 0 : value->number;
}

static const char *sum_of(const struct dbresult *result)
{
    const struct dbvalue *value = dbresult_value(result, 0, "row_sum");

    return value == NULL || value->text == NULL ? "?" : value->text;
}

static struct link_call read_call(struct move_run *run, struct move_link *link,
                                  const struct range *range, uint64_t limit, bool sum,
                                  struct arena *arena)
{
    return (struct link_call){.link = link,
                              .proc = PROC_MOVE_READ,
                              .args = {run_slot_on(run, link), run_token(run),
                                       link_text(move_tables[range->table].name),
                                       run_owner(run), link_text(range->after),
                                       link_text(range->upto), dbarg_number(limit),
                                       dbarg_number(sum)},
                              .arena = arena,
                              .limit_ms = LINK_CALL_MS};
}

/* ---- Row by row ---- */

/* The key of ROW of a table, as JSON in TEXT. False: it is no row. */
static bool key_of(const struct move_table *table, const json_t *row, char *text,
                   size_t size)
{
    char numbers[3][24] = {"null", "null", "null"};
    char word[280] = "null";
    unsigned n = 0;

    for (unsigned i = 0; i < table->n_key; i++) {
        const json_t *part = json_array_get(row, i);
        if (json_is_integer(part) && n < 3) {
            (void)snprintf(numbers[n++], sizeof numbers[0], "%llu",
                           (unsigned long long)json_integer_value(part));
        } else if (json_is_string(part) && json_string_length(part) <= 256) {
            const char *value = json_string_value(part);
            char hex[257] = "";
            if (table->has_text_key && strlen(value) <= 128) {
                hex_encode(value, strlen(value), hex);
            }
            (void)snprintf(word, sizeof word, "\"%s\"",
                           table->has_text_key ? hex : value);
        } else {
            return false;
        }
    }
    return (size_t)snprintf(text, size, "[%s,%s,%s,%s]", numbers[0], numbers[1],
                            numbers[2], word) < size;
}

/* Add the keys of those of ROWS that are not in OTHERS; both as set_of() makes them. */
static bool add_missing(struct move_run *run, size_t table, json_t *rows,
                        const json_t *others)
{
    struct buf *suspects = &run->suspects[table];
    const char *text;
    json_t *row;

    json_object_foreach(rows, text, row)
    {
        char key[512];
        if (json_object_get(others, text) != NULL) {
            continue;
        }
        if (!key_of(&move_tables[table], row, key, sizeof key)) {
            return false;
        }
        buf_addf(suspects, "%s%s", suspects->len == 0 ? "" : ",", key);
        run->n_suspects++;
    }
    return !suspects->failed;
}

/* ROWS, an array, as an object: its keys are the rows as texts, each once. NULL:
 * memory. */
static json_t *set_of(const json_t *rows)
{
    json_t *set = json_object();
    size_t i;
    json_t *row;

    json_array_foreach(rows, i, row)
    {
        char *text = json_dumps(row, JSON_COMPACT);
        if (text == NULL || set == NULL || json_object_set(set, text, row) != 0) {
            json_decref(set);
            set = NULL;
        }
        free(text);
    }
    return set;
}

static json_t *rows_of(const struct dbresult *results)
{
    const struct dbvalue *text = dbresult_value(results, 0, "row_text");

    return text == NULL || text->text == NULL
               ? NULL
               : json_loadb(text->text, text->len, JSON_DISABLE_EOF_CHECK, NULL);
}

static bool suspect_rows(struct move_run *run, size_t table, const json_t *ours,
                         const json_t *theirs)
{
    json_t *our_set = set_of(ours);
    json_t *their_set = set_of(theirs);
    bool is_good = our_set != NULL && their_set != NULL &&
                   add_missing(run, table, our_set, their_set) &&
                   add_missing(run, table, their_set, our_set);

    json_decref(our_set);
    json_decref(their_set);
    return is_good;
}

/* Run CALLS, which answer rows of TABLE on one side each: what differs is suspect. */
static enum move_status compare_answers(struct move_run *run, size_t table,
                                        struct link_call calls[2])
{
    enum move_status status = link_run(calls, 2);

    (void)run_explain(run, calls[0].status != MOVE_OK ? run->from : run->to, status);
    if (status == MOVE_OK) {
        json_t *ours = rows_of(calls[0].results);
        json_t *theirs = rows_of(calls[1].results);
        if (ours == NULL || theirs == NULL || !suspect_rows(run, table, ours, theirs)) {
            (void)snprintf(run->error, sizeof run->error, "rows of %s cannot be compared",
                           move_tables[table].name);
            status = MOVE_REFUSED;
        }
        json_decref(ours);
        json_decref(theirs);
    }
    if (status == MOVE_OK && run->n_suspects > SUSPECTS_MAX) {
        (void)snprintf(run->error, sizeof run->error, "more than %d rows differ, in %s",
                       SUSPECTS_MAX, move_tables[table].name);
        status = MOVE_REFUSED;
    }
    return status;
}

/* The sums of RANGE differ: find which rows do. */
static enum move_status compare_rows(struct move_run *run, const struct range *range)
{
    struct arena arenas[2];
    struct link_call calls[2];

    arena_init(&arenas[0], MOVE_ARENA_BYTES);
    arena_init(&arenas[1], MOVE_ARENA_BYTES);
    calls[0] =
        read_call(run, run->from, range, (uint64_t)2 * CHUNK_ROWS, false, &arenas[0]);
    calls[1] =
        read_call(run, run->to, range, (uint64_t)2 * CHUNK_ROWS, false, &arenas[1]);
    enum move_status status = compare_answers(run, range->table, calls);
    arena_release(&arenas[0]);
    arena_release(&arenas[1]);
    return status;
}

/* ---- Sums ---- */

/* Sum NEXT at FROM while LAST, which was summed there, is summed at TO. */
static enum move_status sum_both(struct move_run *run, struct range *next,
                                 const struct range *last, bool *is_same)
{
    struct arena arena;
    struct link_call calls[2] = {{.link = NULL}, {.link = NULL}};

    arena_init(&arena, MOVE_ARENA_BYTES);
    if (next->table < MOVE_TABLES) {
        next->limit = run_chunk_rows(run, CHUNK_ROWS);
        calls[0] = read_call(run, run->from, next, next->limit, true, &arena);
    }
    if (last->table < MOVE_TABLES) {
        calls[1] = read_call(run, run->to, last, last->n + 1, true, &arena);
    }
    enum move_status status = link_run(calls, 2);
    (void)run_explain(run, calls[0].status != MOVE_OK ? run->from : run->to, status);
    if (status == MOVE_OK && calls[0].link != NULL) {
        const struct dbvalue *key = dbresult_value(calls[0].results, 0, "last_key");
        next->n = number_of(calls[0].results, "row_count");
        (void)snprintf(next->sum, sizeof next->sum, "%s", sum_of(calls[0].results));
        if (next->n == next->limit && key != NULL && key->text != NULL) {
            (void)snprintf(next->upto, sizeof next->upto, "%s", key->text);
        }
    }
    *is_same =
        status == MOVE_OK &&
        (calls[1].link == NULL || (number_of(calls[1].results, "row_count") == last->n &&
                                   strcmp(sum_of(calls[1].results), last->sum) == 0));
    arena_release(&arena);
    return status;
}

/* What comes behind RANGE. */
static struct range behind(const struct range *range)
{
    struct range next = {.table = range->table};

    if (range->upto[0] == '\0') {
        next.table++;
    } else {
        memcpy(next.after, range->upto, sizeof next.after);
    }
    return next;
}

static enum move_status compare_sums(struct move_run *run)
{
    struct range last = {.table = MOVE_TABLES};
    struct range next = {.table = 0};
    enum move_status status = MOVE_OK;
    struct pace pace = {.drains = true};
    bool is_same;

    while (status == MOVE_OK && (next.table < MOVE_TABLES || last.table < MOVE_TABLES)) {
        const int64_t step_us = clock_mono_us();
        status = sum_both(run, &next, &last, &is_same);
        if (status == MOVE_OK && !is_same) {
            status = compare_rows(run, &last);
        }
        if (status == MOVE_OK) {
            const uint64_t n = last.table < MOVE_TABLES ? last.n : 0;
            run->move->rows_verified += n;
            run->rows_done += n;
            status = run_tick(run);
        }
        if (status == MOVE_OK) {
            status = run_drain_some(run);
        }
        if (status == MOVE_OK) {
            status = run_pace(run, &pace, step_us, next.n);
        }
        last = next;
        if (next.table < MOVE_TABLES) {
            next = behind(&next);
        }
    }
    return status;
}

/* ---- Suspects ---- */

static void clear_suspects(struct move_run *run)
{
    for (size_t i = 0; i < MOVE_TABLES; i++) {
        buf_clear(&run->suspects[i]);
    }
    run->n_suspects = 0;
}

/* The rows that KEYS of TABLE name, or their sum, at LINK. */
static struct link_call pick_call(struct move_run *run, struct move_link *link,
                                  size_t table, const struct buf *keys, bool is_sum,
                                  struct arena *arena)
{
    return (struct link_call){.link = link,
                              .proc = PROC_MOVE_PICK,
                              .args = {run_slot_on(run, link), run_token(run),
                                       link_text(move_tables[table].name),
                                       dbarg_text(keys->data, keys->len),
                                       dbarg_number(is_sum)},
                              .arena = arena,
                              .limit_ms = LINK_CALL_MS};
}

/* The suspects of one table as move_pick takes them; the caller clears it. */
static struct buf keys_of(const struct buf *suspects)
{
    struct buf keys;

    buf_init(&keys, KEYS_MAX + 2);
    buf_addf(&keys, "[");
    buf_add(&keys, suspects->data, suspects->len);
    buf_addf(&keys, "]");
    return keys;
}

/* Is the sum of those of one table the same on both sides? Known in LIMIT_MS. */
static enum move_status check_table(struct move_run *run, size_t table, int limit_ms)
{
    struct buf keys = keys_of(&run->suspects[table]);
    struct arena arena;
    struct link_call calls[2];

    arena_init(&arena, MOVE_ARENA_BYTES);
    calls[0] = pick_call(run, run->from, table, &keys, /* is_sum= */ true, &arena);
    calls[1] = pick_call(run, run->to, table, &keys, /* is_sum= */ true, &arena);
    for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
        calls[i].limit_ms = limit_ms;
        calls[i].holder = run->from;
    }
    enum move_status status = keys.failed ? MOVE_REFUSED : link_run(calls, 2);
    (void)run_explain(run, calls[0].status != MOVE_OK ? run->from : run->to, status);
    if (status == MOVE_OK &&
        (number_of(calls[0].results, "row_count") !=
             number_of(calls[1].results, "row_count") ||
         strcmp(sum_of(calls[0].results), sum_of(calls[1].results)) != 0)) {
        (void)snprintf(run->error, sizeof run->error,
                       "rows of %s differ on both sides, among them key %.*s",
                       move_tables[table].name,
                       (int)strcspn(run->suspects[table].data, "]") + 1,
                       run->suspects[table].data);
        status = MOVE_REFUSED;
    }
    buf_clear(&keys);
    arena_release(&arena);
    return status;
}

enum move_status run_check_suspects(struct move_run *run, int64_t deadline_ms)
{
    enum move_status status = MOVE_OK;

    for (size_t i = 0; i < MOVE_TABLES && status == MOVE_OK; i++) {
        const int64_t left_ms = deadline_ms - clock_mono_ms();
        if (run->suspects[i].len > 0) {
            status = left_ms > 0 ? check_table(run, i, (int)left_ms) : MOVE_AGAIN;
        }
    }
    return status;
}

/* Those of one table that still differ remain. */
static enum move_status narrow_table(struct move_run *run, size_t table)
{
    struct buf keys = keys_of(&run->suspects[table]);
    struct arena arenas[2];
    struct link_call calls[2];

    buf_clear(&run->suspects[table]);
    arena_init(&arenas[0], MOVE_ARENA_BYTES);
    arena_init(&arenas[1], MOVE_ARENA_BYTES);
    calls[0] = pick_call(run, run->from, table, &keys, /* is_sum= */ false, &arenas[0]);
    calls[1] = pick_call(run, run->to, table, &keys, /* is_sum= */ false, &arenas[1]);
    enum move_status status =
        keys.failed ? MOVE_REFUSED : compare_answers(run, table, calls);
    buf_clear(&keys);
    arena_release(&arenas[0]);
    arena_release(&arenas[1]);
    return status;
}

/* What was on its way when it was compared is the same by now. */
static enum move_status narrow_suspects(struct move_run *run)
{
    enum move_status status = MOVE_OK;

    run->n_suspects = 0;
    for (size_t i = 0; i < MOVE_TABLES && status == MOVE_OK; i++) {
        if (run->suspects[i].len > 0) {
            status = narrow_table(run, i);
        }
    }
    return status;
}

enum move_status run_narrow_suspects(struct move_run *run)
{
    enum move_status status = MOVE_OK;

    for (unsigned look = 0; status == MOVE_OK && run->n_suspects > 0 && look < LOOKS_MAX;
         look++) {
        status = run_drain_all(run);
        if (status == MOVE_OK) {
            status = narrow_suspects(run);
        }
    }
    return status;
}

enum move_status run_verify(struct move_run *run)
{
    for (size_t i = 0; i < MOVE_TABLES; i++) {
        buf_init(&run->suspects[i], KEYS_MAX);
    }
    clear_suspects(run);
    run->move->rows_verified = 0;
    return compare_sums(run);
}
