/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Rows from one shard to another: all of them in the order of their keys, and those that
 * the journal names. The next chunk is read while the last one is written. */
#include <stdio.h>
#include <string.h>

#include "shard/base/clock.h"
#include "shard/base/crc32.h"

#include "shard/move_impl.h"

/* Rows of a chunk, and bytes from which on the next one has fewer. */
#define CHUNK_ROWS     2000
#define CHUNK_ROWS_MIN 50
#define CHUNK_BYTES    ((size_t)1 << 20)

/* The journal is drained while copying when it has so many entries. */
#define BACKLOG_HIGH 2000

/* So few are left when draining has caught up. */
#define BACKLOG_LOW 500

const struct move_table move_tables[MOVE_TABLES] = {
#define MOVE_TABLE(name, n_key, has_text) {#name, n_key, has_text},
#include "shard/move_tables.def"
#undef MOVE_TABLE
};

/* On the way back it is drained so often: the giver, which counts, has none of it, and
 * writers wait when it is not short (_slot_log_bound). */
#define BACK_DRAIN_MS 50

/* So many times in a row it is read before something else has its turn, even if more
 * arrives than goes over. */
#define ROUNDS_MAX 4

/* Some rows of one table. */
struct chunk {
    struct arena arena;
    size_t table;
    uint64_t n;
    const char *rows; /* JSON array */
    size_t len;
    const char *last_key;
};

/* Where the copy is. */
struct copy {
    struct move_run *run;
    size_t table;
    char after[512];
    int limit; /* rows of the next chunk */
    struct chunk chunks[2];
    struct pace pace;
};

/* ---- The journal ---- */

static const char *text_of(const struct dbresult *result, size_t row, const char *column)
{
    const struct dbvalue *value = dbresult_value(result, row, column);

    return value == NULL || value->text == NULL ? "" : value->text;
}

static uint64_t number_of(const struct dbresult *result, const char *column)
{
    const struct dbvalue *value = dbresult_value(result, 0, column);

    return value == NULL ? 0 : value->number;
}

/* Add the keys of PART that have no row, or else the rows, with their sums. */
static void add_part(struct buf *batch, const struct dbresult *part, bool rows)
{
    const char *comma = "";

    for (size_t i = 0; i < part->n_rows; i++) {
        const char *row = text_of(part, i, "row_text");
        const size_t len = strlen(row);
        if ((len > 0) != rows) {
            continue;
        }
        buf_add(batch, comma, strlen(comma));
        if (rows) {
            buf_add(batch, row, len - 1); /* without its bracket */
            buf_addf(batch, ", %u]", (unsigned)crc32_iso(row, len));
        } else {
            buf_addf(batch, "%s", text_of(part, i, "key_text"));
        }
        comma = ",";
    }
}

bool run_batch(const struct dbresult *parts, struct buf *batch)
{
    buf_init(batch, MOVE_ARENA_BYTES);
    buf_add(batch, "[", 1);
    for (const struct dbresult *part = parts; part->next != NULL; part = part->next) {
        buf_addf(batch, "%s{\"t\":\"%s\",\"k\":[", part == parts ? "" : ",",
                 text_of(part, 0, "tbl"));
        add_part(batch, part, /* rows= */ false);
        buf_addf(batch, "],\"r\":[");
        add_part(batch, part, /* rows= */ true);
        buf_addf(batch, "]}");
    }
    buf_add(batch, "]", 1);
    return !batch->failed;
}

enum move_status run_misread(struct move_run *run)
{
    (void)snprintf(run->error, sizeof run->error,
                   "%s has procedures of another version: scripts/deploy-procedures.sh",
                   run->from->name);
    return MOVE_REFUSED;
}

const struct dbresult *run_last(const struct dbresult *parts)
{
    while (parts->next != NULL) {
        parts = parts->next;
    }
    return parts;
}

struct link_call run_write(struct move_run *run, struct dbarg batch, const char *table,
                           const char *last_key, uint64_t n, struct arena *arena)
{
    struct link_call call = {.link = run->to,
                             .proc = PROC_MOVE_WRITE,
                             .args = {run_slot(run), run_token(run), batch,
                                      link_text(table), link_text(last_key),
                                      dbarg_number(n)},
                             .arena = arena,
                             .limit_ms = LINK_CALL_MS};

    if (run->move->kind != MOVE_SLOT) {
        call.proc = PROC_PROMOTE_WRITE;
        call.args[0] = dbarg_number(run->move->id);
    }
    return call;
}

/* Write what was read of the journal, then remove those entries. */
static enum move_status carry(struct move_run *run, const struct dbresult *parts,
                              struct arena *arena)
{
    struct dbresult *results;
    struct buf batch;
    enum move_status status = MOVE_REFUSED;

    if (!run_batch(parts, &batch)) {
        (void)snprintf(run->error, sizeof run->error, "out of memory");
    } else {
        struct link_call call =
            run_write(run, dbarg_text(batch.data, batch.len), "", "", 0, arena);
        status = run_explain(run, run->to, link_run(&call, 1));
    }
    buf_clear(&batch);
    if (status == MOVE_OK) {
        const struct dbarg args[] = {run_slot(run), run_token(run)};
        status =
            run_explain(run, run->from,
                        link_call(run->from, PROC_MOVE_DRAINED, args, arena, &results));
    }
    if (status == MOVE_OK && run->from != run->giver) {
        run->move->way_back = number_of(results, "backlog");
    }
    return status;
}

enum move_status run_drain(struct move_run *run, uint64_t *entries)
{
    const struct dbarg args[] = {run_slot(run), run_token(run),
                                 dbarg_number(DRAIN_ENTRIES)};
    struct dbresult *parts = NULL;
    struct arena arena;

    *entries = 0;
    run->move->way_back = 0;
    run->drained_ms = clock_mono_ms();
    arena_init(&arena, MOVE_ARENA_BYTES);
    enum move_status status = run_explain(
        run, run->from, link_call(run->from, PROC_MOVE_DRAIN, args, &arena, &parts));
    if (status == MOVE_OK && parts != NULL) {
        *entries = number_of(run_last(parts), "entries");
        if (dbresult_column(run_last(parts), "entries") < 0) {
            status = run_misread(run);
        } else if (number_of(run_last(parts), "is_lost") == 1) {
            run->is_lost = true;
            (void)snprintf(run->error, sizeof run->error,
                           "nobody read the journal for too long: what was written is "
                           "not known");
            status = MOVE_REFUSED;
        } else if (*entries > 0) {
            status = carry(run, parts, &arena);
        }
    }
    arena_release(&arena);
    return status;
}

enum move_status run_drain_few(struct move_run *run)
{
    enum move_status status = MOVE_OK;
    uint64_t entries = DRAIN_ENTRIES;

    for (unsigned n = 0; status == MOVE_OK && entries == DRAIN_ENTRIES && n < ROUNDS_MAX;
         n++) {
        status = run_drain(run, &entries);
        if (status == MOVE_OK) {
            status = run_tick(run);
        }
    }
    return status;
}

enum move_status run_drain_all(struct move_run *run)
{
    enum move_status status = MOVE_OK;
    uint64_t entries = BACKLOG_LOW;

    while (status == MOVE_OK && entries >= BACKLOG_LOW) {
        status = run_drain(run, &entries);
        if (status == MOVE_OK) {
            status = run_tick(run);
        }
    }
    return status;
}

/* ---- Copying ---- */

static struct link_call read_call(struct copy *copy, struct chunk *chunk)
{
    struct move_run *run = copy->run;

    chunk->n = 0;
    if (copy->table == MOVE_TABLES) {
        return (struct link_call){.link = NULL};
    }
    arena_release(&chunk->arena);
    chunk->table = copy->table;
    return (struct link_call){
        .link = run->from,
        .proc = PROC_MOVE_READ,
        .args = {run_slot_on(run, run->from), run_token(run),
                 link_text(move_tables[copy->table].name), run_owner(run),
                 link_text(copy->after), link_text(""),
                 dbarg_number(run_chunk_rows(run, (uint64_t)copy->limit)),
                 dbarg_number(0)},
        .arena = &chunk->arena,
        .limit_ms = LINK_CALL_MS};
}

/* Write CHUNK, if there is one. */
static struct link_call write_call(struct copy *copy, struct chunk *chunk,
                                   struct arena *arena)
{
    if (chunk->n == 0) {
        return (struct link_call){.link = NULL};
    }
    return run_write(copy->run, dbarg_text(chunk->rows, chunk->len),
                     move_tables[chunk->table].name, chunk->last_key, chunk->n, arena);
}

/* Take what was read into CHUNK, and go on behind it. */
static void take_chunk(struct copy *copy, struct chunk *chunk,
                       const struct dbresult *results)
{
    chunk->n = number_of(results, "row_count");
    chunk->rows = text_of(results, 0, "row_text");
    chunk->len = strlen(chunk->rows);
    chunk->last_key = text_of(results, 0, "last_key");
    if (chunk->last_key[0] == '\0') { /* the end of this table */
        copy->table++;
        copy->after[0] = '\0';
    } else {
        (void)snprintf(copy->after, sizeof copy->after, "%s", chunk->last_key);
    }
    if (chunk->len > CHUNK_BYTES && copy->limit > CHUNK_ROWS_MIN) {
        copy->limit /= 2;
    } else if (chunk->len < CHUNK_BYTES / 4 && copy->limit < CHUNK_ROWS) {
        copy->limit *= 2;
    }
}

/* Read the next chunk into READ while WRITE is written. */
static enum move_status copy_step(struct copy *copy, struct chunk *read,
                                  struct chunk *write)
{
    struct move_run *run = copy->run;
    struct link_call calls[2];
    struct arena arena;

    arena_init(&arena, MOVE_ARENA_BYTES);
    calls[0] = read_call(copy, read);
    calls[1] = write_call(copy, write, &arena);
    enum move_status status = link_run(calls, 2);
    for (size_t i = 0; i < 2; i++) {
        if (calls[i].status != MOVE_OK && calls[i].link != NULL) {
            (void)run_explain(run, calls[i].link, status);
        }
    }
    if (status == MOVE_OK && calls[0].link != NULL) {
        take_chunk(copy, read, calls[0].results);
    }
    if (status == MOVE_OK) {
        run->move->rows_copied += write->n;
        run->rows_done += write->n;
        run->move->bytes_copied += write->n == 0 ? 0 : write->len;
    }
    arena_release(&arena);
    return status;
}

enum move_status run_drain_some(struct move_run *run)
{
    const bool is_due =
        run->from != run->giver && clock_mono_ms() - run->drained_ms >= BACK_DRAIN_MS;

    return is_due || run->backlog > BACKLOG_HIGH ? run_drain_few(run) : MOVE_OK;
}

/* Is it time to look at slot_move, or at the journal, or to be slower? */
static bool is_pause(const struct copy *copy)
{
    const struct move_run *run = copy->run;

    return run->move->rows_per_s > 0 || run->throttle[0] != '\0' ||
           run->backlog > BACKLOG_HIGH || run_is_tick_due(run);
}

/* Write CHUNK, which was read ahead, before anything that is newer goes over: it would be
 * written over that. Then look around. */
static enum move_status pause_copy(struct copy *copy, struct chunk *chunk,
                                   int64_t step_us, uint64_t rows)
{
    struct move_run *run = copy->run;
    struct chunk none = {.n = 0};
    size_t table = copy->table;
    enum move_status status = MOVE_OK;

    if (chunk->n > 0) {
        copy->table = MOVE_TABLES; /* nothing is read */
        status = copy_step(copy, &none, chunk);
        copy->table = table;
        chunk->n = 0;
    }
    if (status == MOVE_OK) {
        status = run_tick(run);
    }
    if (status == MOVE_OK) {
        status = run_drain_some(run);
    }
    return status == MOVE_OK
               ? run_pace(run, &copy->pace, step_us, run->move->rows_copied - rows)
               : status;
}

static size_t table_named(const char *name)
{
    for (size_t i = 0; i < MOVE_TABLES; i++) {
        if (strcmp(move_tables[i].name, name) == 0) {
            return i;
        }
    }
    return 0;
}

enum move_status run_copy(struct move_run *run, const char *tbl, const char *after)
{
    struct copy copy = {.run = run,
                        .table = table_named(tbl),
                        .limit = CHUNK_ROWS,
                        .pace = {.drains = true}};
    enum move_status status = MOVE_OK;
    unsigned turn = 0;

    (void)snprintf(copy.after, sizeof copy.after, "%s", after);
    arena_init(&copy.chunks[0].arena, MOVE_ARENA_BYTES);
    arena_init(&copy.chunks[1].arena, MOVE_ARENA_BYTES);
    do {
        int64_t step_us = clock_mono_us();
        uint64_t rows = run->move->rows_copied;
        status = copy_step(&copy, &copy.chunks[turn], &copy.chunks[1 - turn]);
        copy.chunks[1 - turn].n = 0;
        turn = 1 - turn;
        if (status == MOVE_OK && is_pause(&copy)) {
            status = pause_copy(&copy, &copy.chunks[1 - turn], step_us, rows);
        }
    } while (status == MOVE_OK &&
             (copy.table < MOVE_TABLES || copy.chunks[1 - turn].n > 0));
    arena_release(&copy.chunks[0].arena);
    arena_release(&copy.chunks[1].arena);
    return status;
}
