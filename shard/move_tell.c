/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What a move and slot_move tell each other: the claim, how far it is, what is wished. */
#include <stdio.h>
#include <string.h>

#include "shard/base/clock.h"
#include "shard/base/json_out.h"
#include "shard/base/log.h"

#include "shard/move_impl.h"
#include "shard/move_query.h"

/* slot_move is told so often how far it is. */
#define BEAT_MS 1000

/* A paused move looks for another wish. */
#define PAUSE_MS 200

/* While it stands still the journal is read so often: writers need not wait for that. */
#define STILL_MS 40

/* Of a lease, which both shards may take twice to say how far replicas are behind. */
#define LAG_SHARE 8

#define ARENA_BYTES ((size_t)1 << 20)

static const char *const phase_names[PHASE__COUNT] = {
    "queued",    "preparing", "copying", "draining", "verifying", "flipping", "keeping",
    "reverting", "purging",   "undoing", "done",     "undone",    "failed"};

static const char *const kind_names[] =
    {[MOVE_SLOT] = "move", [MOVE_PROMOTE] = "promote", [MOVE_DEMOTE] = "demote"};

static const char *const wish_names[] = {"go", "pause", "cancel", "finish", "rollback"};

const char *move_phase_name(enum move_phase phase)
{
    return phase_names[phase];
}

/* The index of WORD in NAMES, or 0. */
static unsigned word_index(const char *const *names, size_t n, const char *word)
{
    for (unsigned i = 0; i < n; i++) {
        if (strcmp(names[i], word) == 0) {
            return i;
        }
    }
    return 0;
}

/* ---- The claim ---- */

struct claim_row {
    const char *giver, *taker, *phase, *wish, *kind;
};

static const struct dbfield claim_texts[] = {
    {.column = "giver",
     .kind = DBFIELD_TEXT,
     .offset = offsetof(struct claim_row, giver)},
    {.column = "taker",
     .kind = DBFIELD_TEXT,
     .offset = offsetof(struct claim_row, taker)},
    {.column = "phase",
     .kind = DBFIELD_TEXT,
     .offset = offsetof(struct claim_row, phase)},
    {.column = "wish", .kind = DBFIELD_TEXT, .offset = offsetof(struct claim_row, wish)},
    {.column = "kind", .kind = DBFIELD_TEXT, .offset = offsetof(struct claim_row, kind)},
};

static const struct dbfield claim_numbers[] = {
    {.column = "move_id", .kind = DBFIELD_U64, .offset = offsetof(struct move, id)},
    {.column = "slot", .kind = DBFIELD_U32, .offset = offsetof(struct move, slot)},
    {.column = "owner_id",
     .kind = DBFIELD_U64,
     .offset = offsetof(struct move, owner_id)},
    {.column = "own_slot",
     .kind = DBFIELD_U32,
     .offset = offsetof(struct move, own_slot)},
    {.column = "epoch", .kind = DBFIELD_U64, .offset = offsetof(struct move, epoch)},
    {.column = "term", .kind = DBFIELD_U32, .offset = offsetof(struct move, term)},
    {.column = "restarts",
     .kind = DBFIELD_U32,
     .offset = offsetof(struct move, restarts)},
    {.column = "keep_ms", .kind = DBFIELD_I64, .offset = offsetof(struct move, keep_ms)},
    {.column = "rows_per_s",
     .kind = DBFIELD_U32,
     .offset = offsetof(struct move, rows_per_s)},
    {.column = "rows_total",
     .kind = DBFIELD_U64,
     .offset = offsetof(struct move, rows_total)},
    {.column = "rows_copied",
     .kind = DBFIELD_U64,
     .offset = offsetof(struct move, rows_copied)},
    {.column = "bytes_copied",
     .kind = DBFIELD_U64,
     .offset = offsetof(struct move, bytes_copied)},
    {.column = "rows_verified",
     .kind = DBFIELD_U64,
     .offset = offsetof(struct move, rows_verified)},
    {.column = "flipped_at",
     .kind = DBFIELD_I64,
     .offset = offsetof(struct move, flipped_at_ms)},
};

bool move_read_claim(const struct dbresult *row, const char *token, struct move *move)
{
    struct claim_row texts;

    *move = (struct move){.id = 0};
    if (!dbresult_read(row, 0, claim_numbers, ARRAY_LEN(claim_numbers), move) ||
        !dbresult_read(row, 0, claim_texts, ARRAY_LEN(claim_texts), &texts)) {
        return false;
    }
    (void)snprintf(move->giver, sizeof move->giver, "%s", texts.giver);
    (void)snprintf(move->taker, sizeof move->taker, "%s", texts.taker);
    (void)snprintf(move->token, sizeof move->token, "%s", token);
    move->kind = word_index(kind_names, ARRAY_LEN(kind_names), texts.kind);
    move->phase = word_index(phase_names, PHASE__COUNT, texts.phase);
    move->wish = word_index(wish_names, ARRAY_LEN(wish_names), texts.wish);
    return true;
}

/* ---- How far it is ---- */

/* Rows a second in the SINCE_MS since the last beat; what another phase did says nothing
 * of this one. */
static int64_t rate_of(const struct move_run *run, enum move_phase phase,
                       int64_t since_ms)
{
    const uint64_t rows = run->rows_done - run->rate_rows;

    return since_ms <= 0 || phase != run->move->phase
               ? 0
               : (int64_t)(rows * 1000 / (uint64_t)since_ms);
}

/* What is new, as JSON. */
static void write_report(struct move_run *run, enum move_phase phase, int64_t since_ms,
                         struct json_out *out)
{
    struct move *move = run->move;

    json_out_object(out, NULL);
    json_out_text(out, "phase", phase_names[phase]);
    json_out_integer(out, "epoch", (int64_t)move->epoch);
    json_out_integer(out, "rows_total", (int64_t)move->rows_total);
    json_out_integer(out, "rows_copied", (int64_t)move->rows_copied);
    json_out_integer(out, "bytes_copied", (int64_t)move->bytes_copied);
    json_out_integer(out, "rows_verified", (int64_t)move->rows_verified);
    json_out_integer(out, "rate", rate_of(run, phase, since_ms));
    json_out_integer(out, "flips", run->flips);
    json_out_integer(out, "restarts", run->is_restart);
    json_out_text(out, "throttle", run->throttle);
    if (phase == PHASE_KEEPING || phase == PHASE_REVERTING) {
        json_out_integer(out, "backlog", (int64_t)move->way_back);
    }
    if (run->pause_us > 0) {
        json_out_integer(out, "pause_us", run->pause_us);
    }
    if (run->is_flipped || run->pause_us > 0) {
        json_out_integer(out, "flipped", 1);
    }
    if (run->error[0] != '\0') {
        json_out_text(out, "error", run->error);
    }
    json_out_object_end(out);
}

struct beat_row {
    const char *wish;
    uint32_t rows_per_s;
    uint64_t backlog;
};

static const struct dbfield beat_fields[] = {
    {.column = "wish", .kind = DBFIELD_TEXT, .offset = offsetof(struct beat_row, wish)},
    {.column = "rows_per_s",
     .kind = DBFIELD_U32,
     .offset = offsetof(struct beat_row, rows_per_s)},
    {.column = "backlog",
     .kind = DBFIELD_U64,
     .offset = offsetof(struct beat_row, backlog)},
};

/* Tell slot_move, with a lease of LEASE_MS (0: give the claim back). */
enum move_status run_tell(struct move_run *run, enum move_phase phase, int lease_ms)
{
    int64_t now_ms = clock_mono_ms();
    struct json_out out;
    struct arena arena;
    struct dbresult *results;
    struct beat_row row = {.wish = "go"};

    json_out_init(&out, 4096);
    write_report(run, phase, now_ms - run->move->told_ms, &out);
    const struct dbarg args[] = {dbarg_number(run->move->id), run_token(run),
                                 dbarg_number((uint64_t)lease_ms),
                                 dbarg_text(out.buf.data, out.buf.len)};
    arena_init(&arena, ARENA_BYTES);
    enum move_status status =
        out.buf.failed ? MOVE_REFUSED
                       : link_call(run->giver, PROC_MOVE_BEAT, args, &arena, &results);
    if (status == MOVE_OK &&
        dbresult_read(results, 0, beat_fields, ARRAY_LEN(beat_fields), &row)) {
        run->move->wish = word_index(wish_names, ARRAY_LEN(wish_names), row.wish);
        run->move->rows_per_s = row.rows_per_s;
        run->backlog = row.backlog;
        run->move->phase = phase;
        run->flips = 0;
        run->is_restart = false;
        run->is_flipped = false;
    }
    arena_release(&arena);
    buf_clear(&out.buf);
    run->commit_ms = (int)(clock_mono_ms() - now_ms);
    run->rate_rows = run->rows_done;
    run->move->told_ms = now_ms;
    return status;
}

/* Is the slot still the giver's, so that the move can be called off? */
bool run_is_before_flip(const struct move_run *run)
{
    return run->move->flipped_at_ms == 0 && run->move->phase != PHASE_UNDOING;
}

enum move_status run_beat(struct move_run *run, enum move_phase phase)
{
    if (phase != run->move->phase) {
        log_write(LOG_INFO, "move_phase",
                  "slot=%u from=%s to=%s phase=%s epoch=%llu rows=%llu", run->move->slot,
                  run->move->giver, run->move->taker, phase_names[phase],
                  (unsigned long long)run->move->epoch,
                  (unsigned long long)run->move->rows_copied);
    }
    bool may_stop = run_is_before_flip(run) && phase <= PHASE_FLIPPING;
    enum move_status status =
        run_explain(run, run->giver, run_tell(run, phase, run->limits->lease_ms));
    if (status == MOVE_OK && may_stop && run->move->wish == WISH_CANCEL) {
        (void)snprintf(run->error, sizeof run->error, "called off");
        status = MOVE_REFUSED;
    }
    return status;
}

/* Statements that run on the shard of LINK; 0: nobody knows. */
static uint64_t statements_on(struct move_link *link)
{
    struct arena arena;
    struct dbresult *results;

    arena_init(&arena, ARENA_BYTES);
    const struct dbvalue *value =
        link_call(link, PROC_MOVE_LOAD, NULL, &arena, &results) == MOVE_OK
            ? dbresult_value(results, 0, "threads_running")
            : NULL;
    uint64_t n = value == NULL ? 0 : value->number;
    arena_release(&arena);
    return n;
}

/* Are replicas of LINK's shard too far behind, or does nobody know? */
static bool is_lagging(struct move_run *run, struct move_link *link)
{
    const struct move_limits *limits = run->limits;
    char text[sizeof run->throttle_text];
    int64_t lag_ms;

    bool is_known =
        query_number(link, limits->lag_query, limits->lease_ms / LAG_SHARE, &lag_ms);
    if (is_known && lag_ms <= limits->lag_ms) {
        return false;
    }
    if (is_known) {
        (void)snprintf(text, sizeof text, "lag of %.32s is %u ms", link->name,
                       (unsigned)clock_earlier(lag_ms, UINT32_MAX));
    } else {
        (void)snprintf(text, sizeof text, "lag of %.32s is not known", link->name);
    }
    if (!is_known && strcmp(text, run->throttle) != 0) {
        log_write(LOG_WARN, "move_lag", "slot=%u shard=%s error=\"%s\"", run->move->slot,
                  link->name, link->why);
    }
    memcpy(run->throttle_text, text, sizeof text);
    run->throttle = run->throttle_text;
    return true;
}

/* Is it copying all rows, or removing them? */
static bool is_writing(const struct move_run *run)
{
    return run->move->phase == PHASE_COPYING || run->is_removing;
}

/* Must nothing be written at all? */
static bool look_for_lag(struct move_run *run)
{
    if (run->limits->lag_query == NULL || !is_writing(run)) {
        return false;
    }
    run->has_looked = true;
    return is_lagging(run, run->giver) || is_lagging(run, run->taker);
}

/* Does it read or write all rows? What the journal names goes over at once in any
 * phase. */
static bool is_bulk(const struct move_run *run)
{
    return is_writing(run) || run->move->phase == PHASE_VERIFYING;
}

/* How long a write takes on the shard of LINK; 0: nobody knows. */
static int commit_ms_on(struct move_link *link)
{
    const int64_t began_ms = clock_mono_ms();
    struct arena arena;
    struct dbresult *results;

    arena_init(&arena, ARENA_BYTES);
    enum move_status status = link_call(link, PROC_SHARD_PROBE, NULL, &arena, &results);
    arena_release(&arena);
    return status == MOVE_OK ? (int)(clock_mono_ms() - began_ms) : 0;
}

/* Do commits take too long? That of the beat shows it for the giver. */
static void look_for_slow_commits(struct move_run *run)
{
    const int bound_ms = run->limits->commit_ms;

    if (bound_ms == 0) {
        return;
    }
    const int taker_ms = run->taker == run->giver ? 0 : commit_ms_on(run->taker);
    const bool is_taker = taker_ms > run->commit_ms;
    if ((is_taker ? taker_ms : run->commit_ms) > bound_ms) {
        (void)snprintf(run->throttle_text, sizeof run->throttle_text,
                       "commits of %.32s are slow",
                       is_taker ? run->taker->name : run->giver->name);
        run->throttle = run->throttle_text;
    }
}

/* Does one of both shards run too many statements? */
static void look_for_statements(struct move_run *run)
{
    const unsigned most = run->limits->statements_max;
    struct move_link *links[] = {run->giver, run->taker};

    for (size_t i = 0; i < ARRAY_LEN(links) && most > 0 && run->throttle[0] == '\0';
         i++) {
        uint64_t n = statements_on(links[i]);
        if (n > most) {
            (void)snprintf(run->throttle_text, sizeof run->throttle_text,
                           "%.32s runs %u statements", links[i]->name, (unsigned)n);
            run->throttle = run->throttle_text;
        }
    }
}

/* Is there a reason to be slower, or to stand still? */
static void look_for_load(struct move_run *run)
{
    run->is_halted = look_for_lag(run);
    if (run->is_halted) {
        return;
    }
    run->throttle = "";
    if (is_bulk(run)) {
        look_for_slow_commits(run);
        look_for_statements(run);
    }
}

bool run_is_tick_due(const struct move_run *run)
{
    bool is_first = run->limits->lag_query != NULL && !run->has_looked && is_writing(run);

    return is_first || clock_mono_ms() - run->move->told_ms >= BEAT_MS;
}

/* Do nothing for MS, but carry over what is written meanwhile. */
static enum move_status stand_still(struct move_run *run, int ms)
{
    const int64_t end_ms = clock_mono_ms() + ms;
    enum move_status status = MOVE_OK;
    uint64_t entries = 0;

    do {
        if (run->is_journaled) {
            status = run_drain(run, &entries);
        }
        if (entries < DRAIN_ENTRIES) {
            run_sleep_ms(STILL_MS);
        }
    } while (status == MOVE_OK && !*run->stop && clock_mono_ms() < end_ms);
    return status;
}

enum move_status run_tick(struct move_run *run)
{
    enum move_status status = MOVE_OK;
    bool is_still;

    if (*run->stop) {
        (void)snprintf(run->error, sizeof run->error, "this mover was told to stop");
        return MOVE_LOST;
    }
    if (!run_is_tick_due(run)) {
        return MOVE_OK;
    }
    do {
        status = run_beat(run, run->move->phase);
        is_still = status == MOVE_OK && run->move->wish == WISH_PAUSE &&
                   run->move->phase != PHASE_KEEPING;
        if (status == MOVE_OK && !is_still) {
            look_for_load(run);
            is_still = run->is_halted;
        }
        if (is_still) {
            status = stand_still(run, run->is_halted ? BEAT_MS : PAUSE_MS);
        }
    } while (status == MOVE_OK && is_still && !*run->stop);
    return status;
}
