/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* An attempt at a move: what the fences say decides where it goes on. */
#include "shard/move.h"

#include <stdio.h>
#include <string.h>

#include "shard/base/clock.h"
#include "shard/base/log.h"

#include "shard/move_impl.h"
#include "shard/partition.h"

#define ARENA_BYTES ((size_t)1 << 20)

/* A move whose attempt ended is left alone for so long, so that others have their turn.
 */
#define RETRY_LEASE_MS 1000

/* One shard may take so long to hear the news of a move. */
#define NEWS_MS 1000

/* ---- There ---- */

struct import_row {
    const char *tbl, *after_key;
    uint32_t is_begun, is_clean;
    uint64_t row_count;
};

static const struct dbfield import_fields[] = {
    {.column = "is_begun",
     .kind = DBFIELD_U32,
     .offset = offsetof(struct import_row, is_begun)},
    {.column = "tbl", .kind = DBFIELD_TEXT, .offset = offsetof(struct import_row, tbl)},
    {.column = "after_key",
     .kind = DBFIELD_TEXT,
     .offset = offsetof(struct import_row, after_key)},
    {.column = "is_clean",
     .kind = DBFIELD_U32,
     .offset = offsetof(struct import_row, is_clean)},
    {.column = "row_count",
     .kind = DBFIELD_U64,
     .offset = offsetof(struct import_row, row_count)},
};

/* TO begins, or goes on, to take the slot at EPOCH; *ROW says how far it is, in ARENA. */
static enum move_status import_slot(struct move_run *run, uint64_t epoch,
                                    struct arena *arena, struct import_row *row)
{
    const struct dbarg args[] = {run_slot(run),
                                 dbarg_number(epoch),
                                 run_token(run),
                                 dbarg_number(run->move->term),
                                 link_text(run->from->name),
                                 dbarg_number(run->limits->imports_max)};
    struct dbresult *results;
    enum move_status status = run_explain(
        run, run->to, link_call(run->to, PROC_MOVE_IMPORT, args, arena, &results));

    if (status == MOVE_OK &&
        !dbresult_read(results, 0, import_fields, ARRAY_LEN(import_fields), row)) {
        (void)snprintf(run->error, sizeof run->error, "%s: move_import cannot be read",
                       run->to->name);
        status = MOVE_REFUSED;
    }
    if (status == MOVE_OK && row->is_begun == 0) {
        (void)snprintf(run->error, sizeof run->error,
                       "%s takes %u slots already: waiting for its turn", run->to->name,
                       run->limits->imports_max);
        status = MOVE_LOST;
    }
    return status;
}

enum move_status run_import_again(struct move_run *run, uint64_t epoch)
{
    struct import_row import;
    struct arena arena;

    arena_init(&arena, ARENA_BYTES);
    enum move_status status = import_slot(run, epoch, &arena, &import);
    arena_release(&arena);
    return status;
}

/* TO has nothing of the slot that is older; is_clean says that it had not. */
static enum move_status clean_slot(struct move_run *run, uint64_t epoch, bool is_clean)
{
    const struct dbarg args[] = {run_slot(run), run_token(run)};
    enum move_status status = MOVE_OK;

    if (!is_clean) {
        status = partition_make(run, run->to, run->move->slot, epoch);
    }
    if (status == MOVE_OK && !is_clean) {
        status = run_purge(run, run->to, epoch);
    }
    return status == MOVE_OK && !is_clean ? run_call(run, run->to, PROC_MOVE_CLEAN, args)
                                          : status;
}

enum move_status run_open(struct move_run *run)
{
    enum move_status status = run_call_locking(
        run, (struct link_call){.link = run->from,
                                .proc = PROC_MOVE_OPEN,
                                .args = {run_slot(run), run_token(run)}});

    run->is_journaled = status == MOVE_OK;
    return status;
}

static uint64_t epoch_above(const struct look *giver, const struct look *taker)
{
    return giver->next_epoch > taker->next_epoch ? giver->next_epoch : taker->next_epoch;
}

/* Choose the epoch that the slot will have: above all that either shard has heard. */
static enum move_status choose_epoch(struct move_run *run, const struct look *giver,
                                     const struct look *taker)
{
    run->move->epoch = epoch_above(giver, taker);
    return run_count_rows(run);
}

/* From the claim to the flip. */
static enum move_status go_there(struct move_run *run, const struct look *giver,
                                 const struct look *taker)
{
    struct arena arena;
    struct import_row import = {.is_begun = 0};
    enum move_status status = MOVE_OK;

    if (run->move->epoch == 0) {
        status = choose_epoch(run, giver, taker);
    }
    arena_init(&arena, ARENA_BYTES);
    if (status == MOVE_OK) {
        status = run_beat(run, PHASE_PREPARING);
    }
    if (status == MOVE_OK) {
        status = import_slot(run, run->move->epoch, &arena, &import);
    }
    if (status == MOVE_OK) {
        run->move->rows_copied = import.row_count;
        status = clean_slot(run, run->move->epoch, import.is_clean == 1);
    }
    if (status == MOVE_OK) {
        status = run_open(run);
    }
    if (status == MOVE_OK) {
        status = run_beat(run, PHASE_COPYING);
    }
    if (status == MOVE_OK) {
        status = run_copy(run, import.tbl, import.after_key);
    }
    arena_release(&arena);
    return status;
}

enum move_status run_catch_up(struct move_run *run, enum move_phase draining,
                              enum move_phase verifying, enum move_phase flipping)
{
    /* Before writers wait, the journal is as short as it gets without that. */
    enum move_status status = run_drain_few(run);

    if (status == MOVE_OK) {
        status = run_beat(run, draining);
    }
    if (status == MOVE_OK) {
        status = run_drain_all(run);
    }
    if (status == MOVE_OK) {
        status = run_beat(run, verifying);
    }
    if (status == MOVE_OK) {
        status = run_verify(run);
    }
    if (status == MOVE_OK) {
        status = run_drain_few(run);
    }
    if (status == MOVE_OK) {
        status = run_beat(run, flipping);
    }
    if (status == MOVE_OK) {
        status = run_narrow_suspects(run);
    }
    if (status == MOVE_OK) {
        status = run_drain_all(run);
    }
    return status;
}

void run_forget_suspects(struct move_run *run)
{
    for (size_t i = 0; i < MOVE_TABLES; i++) {
        buf_clear(&run->suspects[i]);
    }
}

/* Is a move on its way back, which nobody wishes any more? */
static bool is_to_stay(const struct move_run *run)
{
    return run->move->phase == PHASE_REVERTING && run->move->wish == WISH_CANCEL;
}

/* Carry over, compare, flip. */
static enum move_status catch_up_and_flip(struct move_run *run, enum move_phase draining,
                                          enum move_phase verifying,
                                          enum move_phase flipping)
{
    enum move_status status = run_catch_up(run, draining, verifying, flipping);

    if (status == MOVE_OK && is_to_stay(run)) {
        (void)snprintf(run->error, sizeof run->error, "not rolled back after all");
        status = MOVE_REFUSED;
    }
    if (status == MOVE_OK) {
        status = run_flip(run, run->move->epoch, run->move->keep_ms > 0);
    }
    run_forget_suspects(run);
    return status;
}

/* ---- After the flip ---- */

/* The fence of LINK, which is as LOOK says and at EPOCH, gets this mover's token. The
 * mover before may sleep in the middle of a flip. */
static enum move_status adopt(struct move_run *run, struct move_link *link,
                              const struct look *look, uint64_t epoch)
{
    if (strcmp(look->token, run->move->token) == 0) {
        return MOVE_OK;
    }
    if (look->token[0] != '\0') {
        (void)link_kill(link, look->token);
    }
    return run_call_locking(
        run, (struct link_call){.link = link,
                                .proc = PROC_MOVE_ADOPT,
                                .args = {run_slot(run), dbarg_number(epoch),
                                         run_token(run), dbarg_number(run->move->term)}});
}

/* The flip is committed at FROM: TO takes over, if it has not yet, and both have this
 * mover's token. */
static enum move_status settle(struct move_run *run, const struct look *from,
                               const struct look *to)
{
    const struct dbarg take[] = {run_slot(run), dbarg_number(from->epoch),
                                 link_text(from->token)};
    enum move_status status = MOVE_OK;

    if (!look_is(to, "owned") && !look_is(to, "migrating")) {
        /* What was read may not be on disk yet: a commit behind it is when it answers. */
        status = run_call(run, run->from, PROC_SHARD_PROBE, NULL);
        if (status == MOVE_OK) {
            status = run_call(run, run->to, PROC_SLOT_TAKEOVER, take);
        }
    }
    if (status == MOVE_OK) {
        status = adopt(run, run->to, to, from->epoch);
    }
    if (status == MOVE_OK) {
        status = adopt(run, run->from, from, from->epoch);
    }
    return status;
}

/* What they do not hear from here they hear from routers. */
void run_spread(struct move_run *run, uint32_t slot, uint64_t epoch, const char *server)
{
    char entry[160];

    (void)snprintf(entry, sizeof entry,
                   "[{\"slot\":%u,\"epoch\":%llu,\"server\":\"%s\"}]", slot,
                   (unsigned long long)epoch, server);
    for (size_t i = 0; i < run->n_links; i++) {
        struct arena arena;
        struct link_call call = {.link = &run->links[i],
                                 .proc = PROC_SLOT_LEARN,
                                 .args = {link_text(entry)},
                                 .arena = &arena,
                                 .limit_ms = NEWS_MS};
        arena_init(&arena, ARENA_BYTES);
        if (link_run(&call, 1) != MOVE_OK) {
            log_write(LOG_WARN, "move_news_not_told", "shard=%s slot=%u why=\"%s\"",
                      run->links[i].name, slot, run->links[i].why);
        }
        arena_release(&arena);
        if (run_tick(run) != MOVE_OK) {
            return;
        }
    }
}

/* Is the time over in which it can be rolled back? Not while the operator wants that. */
static bool is_kept_enough(const struct move *move)
{
    return move->wish != WISH_ROLLBACK && move->wish != WISH_PAUSE &&
           clock_wall_ms() >= move->flipped_at_ms + move->keep_ms;
}

/* One look at a move that can still be rolled back: what was written goes back. */
static enum move_status keep(struct move_run *run, bool *is_over)
{
    struct move_link *there = run->to;
    enum move_status status;
    uint64_t entries;

    if (run->move->wish == WISH_FINISH) {
        *is_over = true;
        return MOVE_OK;
    }
    run->to = run->from; /* rows go back */
    run->from = there;
    /* Writers do not wait for it: if more arrives than goes back, a wish ends it. */
    do {
        status = run_drain(run, &entries);
        if (status == MOVE_OK) {
            status = run_tick(run);
        }
    } while (status == MOVE_OK && entries == DRAIN_ENTRIES &&
             (run->move->wish == WISH_GO || run->move->wish == WISH_PAUSE));
    run->from = run->to;
    run->to = there;
    if (status == MOVE_REFUSED && run->is_lost) { /* it cannot come back any more */
        *is_over = true;
        return MOVE_OK;
    }
    *is_over = is_kept_enough(run->move);
    return status;
}

/* Is the taker's fence at an epoch that neither this move nor a later one gave it? Its
 * shard was restored from a backup, or somebody settled the slot there: the giver may
 * have what it lacks. */
static bool is_raised(const struct move_run *run, const struct look *taker)
{
    return taker->epoch > run->move->epoch && !look_is(taker, "moved") &&
           !look_is(taker, "gone");
}

static void explain_raised(struct move_run *run, const struct look *taker)
{
    (void)snprintf(run->error, sizeof run->error,
                   "%s was restored, or the slot settled there (epoch %llu): to go back "
                   "to what %s keeps of before, CALL slot_adopt(%u, '%s') there%s",
                   run->taker->name, (unsigned long long)taker->epoch, run->giver->name,
                   run->move->slot, run->giver->name,
                   run->move->phase == PHASE_REVERTING ? "; else cancel the move" : "");
}

static bool is_served(const struct look *look)
{
    return look_is(look, "owned") || look_is(look, "migrating");
}

/* One look at it then: what the giver has stays as it is, for the operator to choose,
 * until the time is over; and as long as the taker lacks the rows. */
static bool is_chosen(const struct move_run *run, const struct look *taker)
{
    return is_served(taker) &&
           (run->move->wish == WISH_FINISH || is_kept_enough(run->move));
}

/* ---- Back ---- */

/* From here on it is on its way back, at an epoch above all that either shard has heard.
 */
static enum move_status turn_back(struct move_run *run, const struct look *giver,
                                  const struct look *taker)
{
    const uint64_t flipped_epoch = run->move->epoch;

    run->move->epoch = epoch_above(giver, taker);
    enum move_status status = run_beat(run, PHASE_REVERTING);
    if (status != MOVE_OK) { /* nobody may be told the one without the other */
        run->move->epoch = flipped_epoch;
    }
    return status;
}

/* The giver imports again what it has all the rows of; then the same as there. */
static enum move_status go_back(struct move_run *run, const struct look *giver,
                                const struct look *taker)
{
    const struct dbarg clean[] = {run_slot(run), run_token(run)};
    struct import_row import = {.is_begun = 0};
    struct arena arena;
    enum move_status status =
        run->move->phase == PHASE_REVERTING ? MOVE_OK : turn_back(run, giver, taker);

    run->from = run->taker;
    run->to = run->giver;
    arena_init(&arena, ARENA_BYTES);
    if (status == MOVE_OK) {
        status = run_open(run);
    }
    if (status == MOVE_OK) {
        status = import_slot(run, run->move->epoch, &arena, &import);
    }
    if (status == MOVE_OK) {
        status = run_call(run, run->to, PROC_MOVE_CLEAN, clean);
    }
    arena_release(&arena);
    run->move->keep_ms = 0;
    return status == MOVE_OK
               ? catch_up_and_flip(run, PHASE_REVERTING, PHASE_REVERTING, PHASE_REVERTING)
               : status;
}

/* The slot has stayed with the taker, which may have given it on since: the giver, where
 * it was to arrive again, forgets it at the epoch that it stayed with (move_stay). */
static enum move_status forget_way_back(struct move_run *run)
{
    /* Noted before the first row is removed: a taker that lost its data afterwards must
     * not be told that the giver still has all of it. */
    enum move_status status =
        run->move->phase == PHASE_PURGING ? MOVE_OK : run_beat(run, PHASE_PURGING);

    if (status == MOVE_OK) {
        status = run_sweep(run, run->taker);
    }
    run->is_journaled = false;
    if (status == MOVE_OK) {
        status = run_forget(run, run->giver, run->taker, run->move->epoch + 1);
    }
    return status == MOVE_OK ? run_beat(run, PHASE_DONE) : status;
}

/* Note that the slot stays with the taker, as long as its fence is this mover's: one that
 * was restored since has less than what that was decided on. */
static enum move_status note_stay(struct move_run *run)
{
    struct look taker;
    enum move_status status = run_look(run, run->taker, &taker);

    if (status == MOVE_OK && strcmp(taker.token, run->move->token) != 0) {
        status = MOVE_LOST; /* whoever goes on finds out */
    }
    return status == MOVE_OK ? run_beat(run, PHASE_PURGING) : status;
}

/* It cannot go back, or is not to any more: it stays with the taker, for certain. That
 * is noted before the taker hears of it: its higher epoch does not say who raised it. */
static enum move_status stay(struct move_run *run)
{
    const struct link_call call = {
        .link = run->taker,
        .proc = PROC_MOVE_STAY,
        .args = {run_slot(run), dbarg_number(run->move->epoch), run_token(run)}};
    enum move_status status = note_stay(run);

    if (status == MOVE_OK) {
        status = run_call_locking(run, call);
    }
    return status == MOVE_OK ? forget_way_back(run) : status;
}

/* ---- Where things are ---- */

/* slot_move hears with the next beat that the slot has moved, if it has not. What made
 * the copy slow is over. */
static void note_flip(struct move_run *run)
{
    run->throttle = "";
    if (run->move->flipped_at_ms == 0) {
        run->move->flipped_at_ms = clock_wall_ms();
        run->is_flipped = true;
    }
}

/* slot_move hears that the move waits in PHASE: at once, then as often as the claim
 * needs. */
static enum move_status tell_waiting(struct move_run *run, enum move_phase phase)
{
    if (run->move->phase == phase &&
        clock_mono_ms() - run->move->told_ms <= run->limits->lease_ms / 4) {
        return MOVE_OK;
    }
    enum move_status status = run_beat(run, phase);
    run->pause_us = 0;
    return status;
}

/* One look at a move after its flip, at a slot that is where it led. */
static enum move_status look_after(struct move_run *run, const struct look *taker,
                                   bool *is_over)
{
    const bool has_raised = is_raised(run, taker);

    if (has_raised) {
        explain_raised(run, taker);
    }
    enum move_status status = tell_waiting(run, PHASE_KEEPING);
    if (status == MOVE_OK && has_raised) {
        *is_over = is_chosen(run, taker);
    } else if (status == MOVE_OK) {
        status = keep(run, is_over);
    }
    return status;
}

/* The slot has moved to the taker: keep it so for a while, go back, or clean up. */
static enum move_status after_flip(struct move_run *run, const struct look *giver,
                                   const struct look *taker)
{
    const bool is_higher = taker->epoch > run->move->epoch;
    bool is_over =
        run->move->phase == PHASE_PURGING || (is_higher && !is_raised(run, taker));
    enum move_status status = is_higher ? adopt(run, run->from, giver, giver->epoch)
                                        : settle(run, giver, taker);

    if (status == MOVE_OK) {
        note_flip(run);
    }
    if (status == MOVE_OK && !is_over) {
        status = look_after(run, taker, &is_over);
    }
    if (status != MOVE_OK) {
        return status;
    }
    if (is_over) {
        return run_finish(run, PHASE_DONE);
    }
    if (run->move->wish == WISH_ROLLBACK && !is_higher) {
        status = go_back(run, giver, taker);
    }
    return status == MOVE_REFUSED && is_to_stay(run) ? stay(run) : status;
}

/* The same on the way back, when the taker may also have got the very epoch that the slot
 * is to have at the giver. */
static bool is_raised_back(const struct move_run *run, const struct look *taker)
{
    return is_raised(run, taker) ||
           (is_served(taker) && taker->epoch == run->move->epoch);
}

/* Was it decided that the slot stays with the taker, by an attempt before or by wish? */
static bool has_stayed(const struct move_run *run)
{
    return run->move->phase == PHASE_PURGING || is_to_stay(run);
}

/* It is on its way back, or has come back. */
static enum move_status revert(struct move_run *run, const struct look *giver,
                               const struct look *taker)
{
    enum move_status status;

    run->from = run->taker;
    run->to = run->giver;
    if (look_is(taker, "moved") && taker->epoch == run->move->epoch) {
        status = settle(run, taker, giver);
        return status == MOVE_OK ? run_finish(run, PHASE_UNDONE) : status;
    }
    if (is_raised_back(run, taker) && !(has_stayed(run) && is_served(taker))) {
        explain_raised(run, taker);
        return tell_waiting(run, run->move->phase);
    }
    if (taker->epoch > run->move->epoch) {
        return forget_way_back(run);
    }
    status = adopt(run, run->taker, taker, taker->epoch);
    if (status == MOVE_OK && !has_stayed(run)) {
        status = go_back(run, giver, taker);
        if (status != MOVE_REFUSED) {
            return status == MOVE_OK ? MOVE_AGAIN : status;
        }
        status = MOVE_OK;
    }
    return status == MOVE_OK ? stay(run) : status;
}

/* Are the rows that are being removed those that a rollback left at the taker? */
static bool has_come_back(const struct move_run *run, const struct look *taker)
{
    return run->move->phase == PHASE_PURGING && look_is(taker, "moved") &&
           taker->epoch == run->move->epoch;
}

/* Are they those that the giver kept for a way back which nobody needs any more? */
static bool is_to_forget(const struct move_run *run, const struct look *giver)
{
    return run->move->phase == PHASE_PURGING &&
           (look_is(giver, "importing") || look_is(giver, "ready") ||
            (look_is(giver, "moved") && giver->epoch < run->move->epoch));
}

/* Has the slot come back to the giver by a move that the taker made since? Then that one
 * has removed what this one left. */
static bool is_history(const struct move_run *run, const struct look *giver,
                       const struct look *taker)
{
    const struct move *move = run->move;
    /* While the taker waits to get it, it was settled at the giver. */
    const bool has_arrived = taker->epoch != move->epoch ||
                             (!look_is(taker, "importing") && !look_is(taker, "ready"));

    return move->epoch > 0 && giver->epoch > move->epoch &&
           (move->flipped_at_ms > 0 || (move->phase == PHASE_FLIPPING && has_arrived) ||
            move->phase == PHASE_PURGING) &&
           move->phase != PHASE_UNDOING;
}

/* One step of the attempt; MOVE_AGAIN: look again. */
static enum move_status step(struct move_run *run)
{
    struct look giver = {.epoch = 0};
    struct look taker = {.epoch = 0};
    struct move *move = run->move;
    enum move_status status = run_look(run, run->giver, &giver);

    if (status == MOVE_OK) {
        status = run_look(run, run->taker, &taker);
    }
    run->from = run->giver;
    run->to = run->taker;
    if (status != MOVE_OK) {
        /* A taker that does not answer is no reason not to call the move off. */
        return move->wish == WISH_CANCEL && run_is_before_flip(run) ? run_undo(run)
                                                                    : status;
    }
    if (is_history(run, &giver, &taker)) {
        return run_beat(run, PHASE_DONE);
    }
    if (move->phase == PHASE_REVERTING || has_come_back(run, &taker) ||
        is_to_forget(run, &giver)) {
        return revert(run, &giver, &taker);
    }
    if (move->epoch > 0 && look_is(&giver, "moved") && giver.epoch == move->epoch) {
        return after_flip(run, &giver, &taker);
    }
    if (move->phase == PHASE_UNDOING || move->wish == WISH_CANCEL) {
        return run_undo(run);
    }
    if (move->epoch > 0 && giver.epoch >= move->epoch) {
        (void)snprintf(run->error, sizeof run->error,
                       "%s: the slot was settled meanwhile", run->giver->name);
        return MOVE_REFUSED;
    }
    if (!look_is(&giver, "owned") && !look_is(&giver, "migrating")) {
        (void)snprintf(run->error, sizeof run->error,
                       "%s does not have the slot any more", run->giver->name);
        return MOVE_FENCED; /* before anything is there that nobody would remove */
    }
    status = go_there(run, &giver, &taker);
    if (status == MOVE_OK) {
        status = catch_up_and_flip(run, PHASE_DRAINING, PHASE_VERIFYING, PHASE_FLIPPING);
    }
    return status == MOVE_OK ? MOVE_AGAIN : status;
}

/* Does the shard still have the slot under this move, or did somebody else settle it? */
static bool is_hopeless(struct move_run *run)
{
    struct look giver;

    return run_look(run, run->giver, &giver) == MOVE_OK &&
           run->move->flipped_at_ms == 0 && !look_is(&giver, "owned") &&
           !look_is(&giver, "migrating") &&
           !(look_is(&giver, "moved") && giver.epoch == run->move->epoch);
}

static struct move_link *link_named(const struct move_run *run, const char *name)
{
    for (size_t i = 0; i < run->n_links; i++) {
        if (strcmp(run->links[i].name, name) == 0) {
            return &run->links[i];
        }
    }
    return NULL;
}

static bool is_end(enum move_phase phase)
{
    return phase == PHASE_DONE || phase == PHASE_UNDONE || phase == PHASE_FAILED;
}

/* What the attempt ends with, told to slot_move. */
static enum move_end conclude(struct move_run *run, enum move_status status)
{
    if (is_end(run->move->phase)) {
        return MOVE_OVER;
    }
    if (status == MOVE_OK) {
        return MOVE_KEEPS;
    }
    log_write(LOG_WARN, "move_attempt_ended", "slot=%u phase=%s why=\"%s\"",
              run->move->slot, move_phase_name(run->move->phase), run->error);
    if (status != MOVE_FENCED || !is_hopeless(run)) {
        (void)run_tell(run, run->move->phase, *run->stop ? 0 : RETRY_LEASE_MS);
        return MOVE_RETRY;
    }
    (void)run_tell(run, PHASE_FAILED, 0);
    return MOVE_OVER;
}

/* The topology lacks a shard of the move. It can be called off all the same: what the
 * taker has of it is below the epoch that the giver goes on with. */
static enum move_end attempt_alone(struct move_run *run)
{
    const struct move *move = run->move;

    log_write(LOG_ERROR, "move_unknown_shard", "slot=%u from=%s to=%s", move->slot,
              move->giver, move->taker);
    if (run->giver == NULL) {
        return MOVE_RETRY;
    }
    if (move->phase == PHASE_UNDOING ||
        (move->wish == WISH_CANCEL && run_is_before_flip(run))) {
        return conclude(run, run_undo(run));
    }
    (void)snprintf(run->error, sizeof run->error,
                   "a mover has no %s in its topology: reload it", move->taker);
    (void)run_tell(run, move->phase, RETRY_LEASE_MS);
    return MOVE_RETRY;
}

enum move_end move_attempt(struct move *move, struct move_link *links, size_t n,
                           const struct move_limits *limits, const atomic_bool *stop)
{
    struct move_run run = {.move = move,
                           .links = links,
                           .n_links = n,
                           .limits = limits,
                           .stop = stop,
                           .from_slot = move->slot,
                           .to_slot = move->slot,
                           .throttle = ""};
    struct move_link other;
    enum move_status status = MOVE_AGAIN;

    run.giver = link_named(&run, move->giver);
    run.taker = link_named(&run, move->taker);
    if (run.giver == NULL || run.taker == NULL) {
        return attempt_alone(&run);
    }
    link_init(&other, run.giver->name, run.giver->target, run.giver->durability_exempt);
    while (status == MOVE_AGAIN && !*stop) {
        status = move->kind == MOVE_SLOT ? step(&run) : owner_step(&run, &other);
        if (status == MOVE_REFUSED && run_is_before_flip(&run)) {
            status = run_undo(&run); /* called off, or to be begun anew */
        }
    }
    link_close(&other);
    return conclude(&run, status);
}
