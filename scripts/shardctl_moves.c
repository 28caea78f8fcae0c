/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Read the moves of all shards, and print the state of each. */
#include "scripts/shardctl_moves.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/mover.h"

#include "server/config/topology.h"

/* A mover looks for requests twice a second, but may be busy. */
#define PATIENCE_MS 5000

#define BAR_CELLS 16

static const struct dbfield fields[] = {
// NOLINTNEXTLINE(bugprone-macro-parentheses): the name of a member
#define FIELD(name, type, at)                                                            \
    {                                                                                    \
        name, DBFIELD_##type, offsetof(struct move_row, at)                              \
    }
    FIELD("move_id", U64, move_id),
    FIELD("slot", U32, slot),
    FIELD("kind", TEXT, kind),
    FIELD("giver", TEXT, giver),
    FIELD("taker", TEXT, taker),
    FIELD("owner_id", U64, owner_id),
    FIELD("own_slot", U32, own_slot),
    FIELD("phase", TEXT, phase_text),
    FIELD("wish", TEXT, wish),
    FIELD("epoch", U64, epoch),
    FIELD("holder", TEXT, holder),
    FIELD("claimed_until", I64, claimed_until_ms),
    FIELD("rows_total", U64, rows_total),
    FIELD("rows_copied", U64, rows_copied),
    FIELD("bytes_copied", U64, bytes_copied),
    FIELD("rows_verified", U64, rows_verified),
    FIELD("backlog", U64, backlog),
    FIELD("rate", U64, rate),
    FIELD("rows_per_s", U32, rows_per_s),
    FIELD("throttle", TEXT, throttle),
    FIELD("flips", U32, flips),
    FIELD("restarts", U32, restarts),
    FIELD("pause_us", I64, pause_us),
    FIELD("requested_at", I64, requested_at_ms),
    FIELD("requested_by", TEXT, requested_by),
    FIELD("started_at", I64, started_at_ms),
    FIELD("flipped_at", I64, flipped_at_ms),
    FIELD("finished_at", I64, finished_at_ms),
    FIELD("keep_ms", I64, keep_ms),
    FIELD("last_error", TEXT, last_error),
    FIELD("now_at", I64, now_ms),
#undef FIELD
};

static enum move_phase phase_named(const char *name)
{
    enum move_phase phase = 0;

    while (phase < PHASE__COUNT && strcmp(move_phase_name(phase), name) != 0) {
        phase++;
    }
    return phase;
}

static bool take_rows(struct moves *moves, size_t shard, const struct dbresult *result)
{
    for (size_t i = 0; result != NULL && i < result->n_rows; i++) {
        struct move_row *row = &moves->rows[moves->n++];
        if (!dbresult_read(result, i, fields, ARRAY_LEN(fields), row) ||
            (row->phase = phase_named(row->phase_text)) == PHASE__COUNT) {
            (void)shardctl_fail(fleet_shard(&moves->fleet, shard),
                                "move_status answered what cannot be read");
            return false;
        }
        row->shard = shard;
    }
    return true;
}

bool moves_read(struct moves *moves, const struct shardctl *ctl, bool is_quiet)
{
    const size_t n_shards = ctl->topology->n_servers;
    struct fleet *fleet = &moves->fleet;
    size_t n = 0;

    *moves = (struct moves){.n = 0};
    fleet_begin(fleet, ctl);
    fleet->is_quiet = is_quiet;
    if (!fleet_call(fleet, PROC_MOVE_STATUS, NULL, SIZE_MAX)) {
        (void)shardctl_fail("move_status", "no shard answers");
        return false;
    }
    for (size_t i = 0; i < n_shards; i++) {
        n += fleet->shares[i].results == NULL ? 0 : fleet->shares[i].results->n_rows;
    }
    moves->rows = arena_calloc(&fleet->arena, n + 1, sizeof *moves->rows);
    if (moves->rows == NULL) {
        (void)shardctl_fail("moves", "out of memory");
        return false;
    }
    for (size_t i = 0; i < n_shards; i++) {
        if (!take_rows(moves, i, fleet->shares[i].results)) {
            return false;
        }
    }
    return true;
}

void moves_end(struct moves *moves)
{
    fleet_end(&moves->fleet);
}

const struct move_row *moves_of_slot(const struct moves *moves, uint32_t slot)
{
    for (size_t i = 0; i < moves->n; i++) {
        if (moves->rows[i].slot == slot && !move_is_over(&moves->rows[i])) {
            return &moves->rows[i];
        }
    }
    return NULL;
}

/* ---- What that means ---- */

bool move_is_over(const struct move_row *row)
{
    return row->phase == PHASE_DONE || row->phase == PHASE_UNDONE ||
           row->phase == PHASE_FAILED;
}

bool move_is_kept(const struct move_row *row)
{
    return row->phase == PHASE_KEEPING && strcmp(row->wish, "finish") != 0 &&
           strcmp(row->wish, "rollback") != 0 &&
           row->flipped_at_ms + row->keep_ms > row->now_ms;
}

static bool is_paused(const struct move_row *row)
{
    return strcmp(row->wish, "pause") == 0;
}

/* When the move last had what it needed. */
static int64_t waits_since_ms(const struct move_row *row)
{
    const int64_t since_ms = row->claimed_until_ms > row->requested_at_ms
                                 ? row->claimed_until_ms
                                 : row->requested_at_ms;
    const int64_t kept_until_ms = row->flipped_at_ms + row->keep_ms;

    return row->phase == PHASE_KEEPING && kept_until_ms > since_ms &&
                   kept_until_ms <= row->now_ms
               ? kept_until_ms
               : since_ms;
}

int64_t move_waits_ms(const struct move_row *row)
{
    /* When a mover dies that keeps a move, another takes over after its lease. */
    const int64_t patience_ms =
        row->phase == PHASE_KEEPING ? mover_defaults().limits.lease_ms : PATIENCE_MS;
    const int64_t waits_ms = row->now_ms - waits_since_ms(row);
    const bool is_wanted = !move_is_over(row) && !move_is_kept(row) &&
                           row->claimed_until_ms < row->now_ms &&
                           !(row->phase == PHASE_QUEUED && is_paused(row));

    return is_wanted && waits_ms >= patience_ms ? waits_ms : 0;
}

bool moves_have_mover(const struct moves *moves)
{
    for (size_t i = 0; i < moves->n; i++) {
        const struct move_row *row = &moves->rows[i];
        if (!move_is_over(row) && row->phase != PHASE_KEEPING &&
            row->claimed_until_ms + PATIENCE_MS > row->now_ms) {
            return true;
        }
    }
    return false;
}

/* Rows of this phase that are done; false: this phase does not count rows. */
static bool rows_done(const struct move_row *row, uint64_t *done)
{
    *done = row->phase == PHASE_COPYING ? row->rows_copied : row->rows_verified;
    return row->phase == PHASE_COPYING || row->phase == PHASE_VERIFYING;
}

int move_percent(const struct move_row *row)
{
    uint64_t done;

    if (row->phase == PHASE_QUEUED || row->phase == PHASE_PREPARING) {
        return 0;
    }
    if (row->phase == PHASE_UNDOING || row->phase == PHASE_UNDONE ||
        row->phase == PHASE_FAILED || row->phase == PHASE_REVERTING) {
        return -1;
    }
    if (!rows_done(row, &done) || row->rows_total == 0 || done >= row->rows_total) {
        return 100;
    }
    return (int)(done * 100 / row->rows_total);
}

int64_t move_eta_ms(const struct move_row *row)
{
    uint64_t done;

    if (row->phase == PHASE_KEEPING && move_is_kept(row)) {
        const int64_t left_ms = row->flipped_at_ms + row->keep_ms - row->now_ms;
        return left_ms > 0 ? left_ms : 0;
    }
    if (!rows_done(row, &done) || row->rate == 0 || is_paused(row)) {
        return -1;
    }
    return done >= row->rows_total
               ? 0
               : (int64_t)((row->rows_total - done) * 1000 / row->rate);
}

/* ---- As text ---- */

/* A line under construction. */
struct line {
    char *text;
    size_t len;
};

PRINTF_LIKE(2, 3) static void add(struct line *line, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    const int n = vsnprintf(line->text + line->len, MOVE_LINE - line->len, fmt, args);
    va_end(args);
    line->len += n < 0 ? 0 : (size_t)n;
    line->len = line->len < MOVE_LINE ? line->len : MOVE_LINE - 1;
}

static void add_name(struct line *line, const struct move_row *row)
{
    if (strcmp(row->kind, "move") == 0) {
        add(line, "slot %u %s -> %s: %s", row->slot, row->giver, row->taker,
            row->phase_text);
    } else {
        add(line, "slot %u %s: %s user %" PRIu64 ", slot %u: %s", row->slot, row->giver,
            row->kind, row->owner_id, row->own_slot, row->phase_text);
    }
}

static void add_bar(struct line *line, const struct move_row *row)
{
    static const char full[] = "################";
    static const char empty[] = "----------------";
    const int percent = move_percent(row);
    const int n = percent * BAR_CELLS / 100;

    if (percent >= 0) {
        add(line, " [%.*s%.*s] %d%%", n, full, BAR_CELLS - n, empty, percent);
    }
}

/* Append the counts while rows are copied or compared. */
static void add_counts(struct line *line, const struct move_row *row)
{
    char text[3][UNITS_TEXT];
    const int64_t eta_ms = move_eta_ms(row);

    if (row->phase == PHASE_VERIFYING) {
        add(line, ", %s of %s rows compared", units_number(row->rows_verified, text[0]),
            units_number(row->rows_total, text[1]));
    } else {
        add(line, ", %s of %s rows", units_number(row->rows_copied, text[0]),
            units_number(row->rows_total, text[1]));
    }
    add(line, ", %s", fleet_bytes((double)row->bytes_copied, text[0]));
    add(line, ", %s rows/s", units_number(row->rate, text[0]));
    if (row->rows_per_s > 0) {
        add(line, " (at most %s)", units_number(row->rows_per_s, text[0]));
    }
    add(line, ", backlog %s", units_number(row->backlog, text[0]));
    add(line, ", ETA %s", eta_ms < 0 ? "-" : units_duration(eta_ms, text[0]));
}

/* Append how it went, from the flip on. */
static void add_end(struct line *line, const struct move_row *row)
{
    char text[UNITS_TEXT];

    if (row->phase == PHASE_DONE || row->phase == PHASE_KEEPING) {
        add(line, ", %s rows", units_number(row->rows_copied, text));
    }
    if (row->pause_us > 1) {
        add(line, ", writes paused for %.1f ms", (double)row->pause_us / 1000);
    }
    if (row->phase == PHASE_KEEPING) {
        add(line, ", backlog %s", units_number(row->backlog, text));
    }
    if (row->phase == PHASE_PURGING || row->phase == PHASE_UNDOING) {
        add(line, ", %s rows/s removed", units_number(row->rate, text));
    }
    if (move_is_kept(row)) {
        add(line, ", can be rolled back for %s", units_duration(move_eta_ms(row), text));
    }
    if (move_is_over(row) && row->started_at_ms > 0) {
        add(line, ", took %s",
            units_duration(row->finished_at_ms - row->started_at_ms, text));
    }
}

static void add_troubles(struct line *line, const struct move_row *row)
{
    char text[UNITS_TEXT];
    const int64_t waits_ms = move_waits_ms(row);

    if (strcmp(row->wish, "go") != 0 && !move_is_over(row)) {
        add(line, ", wish %s", row->wish);
    }
    if (row->throttle[0] != '\0' && !move_is_over(row)) {
        add(line, ", slowed: %s", row->throttle);
    }
    if (row->restarts > 0) {
        add(line, ", begun anew %u times", row->restarts);
    }
    if (waits_ms > 0) {
        add(line, ", no mover works on it for %s", units_duration(waits_ms, text));
    }
    if (row->last_error[0] != '\0' && row->phase != PHASE_DONE) {
        add(line, ", last problem: %s", row->last_error);
    }
}

const char *move_line(const struct move_row *row, char line[MOVE_LINE])
{
    struct line out = {.text = line};
    char text[UNITS_TEXT];

    line[0] = '\0';
    add_name(&out, row);
    if (row->phase == PHASE_QUEUED) {
        add(&out, " for %s", units_duration(row->now_ms - row->requested_at_ms, text));
    } else if (row->phase < PHASE_KEEPING) {
        add_bar(&out, row);
        add_counts(&out, row);
    } else {
        add_end(&out, row);
    }
    add_troubles(&out, row);
    return line;
}

/* ---- As JSON ---- */

json_t *move_json(const struct move_row *row)
{
    const int percent = move_percent(row);
    const int64_t eta_ms = move_eta_ms(row);
    json_t *object = json_pack(
        "{s:I, s:I, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
        "move_id", (json_int_t)row->move_id, "slot", (json_int_t)row->slot, "kind",
        row->kind, "giver", row->giver, "taker", row->taker, "phase", row->phase_text,
        "wish", row->wish, "epoch", (json_int_t)row->epoch, "rows_total",
        (json_int_t)row->rows_total, "rows_copied", (json_int_t)row->rows_copied,
        "bytes_copied", (json_int_t)row->bytes_copied, "rows_verified",
        (json_int_t)row->rows_verified, "backlog", (json_int_t)row->backlog, "rate",
        (json_int_t)row->rate);
    json_t *more = json_pack(
        "{s:o, s:o, s:I, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:s}",
        "percent", percent < 0 ? json_null() : json_integer(percent), "eta_ms",
        eta_ms < 0 ? json_null() : json_integer(eta_ms), "rows_per_s",
        (json_int_t)row->rows_per_s, "throttle", row->throttle, "flips",
        (json_int_t)row->flips, "restarts", (json_int_t)row->restarts, "pause_us",
        (json_int_t)row->pause_us, "waits_ms", (json_int_t)move_waits_ms(row),
        "requested_at", (json_int_t)row->requested_at_ms, "started_at",
        (json_int_t)row->started_at_ms, "flipped_at", (json_int_t)row->flipped_at_ms,
        "finished_at", (json_int_t)row->finished_at_ms, "holder", row->holder,
        "last_error", row->last_error);

    if (object == NULL || more == NULL || json_object_update(object, more) != 0) {
        json_decref(object);
        object = NULL;
    }
    json_decref(more);
    return object;
}
