/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The flip: the only moment in which writes of the slot wait.
 *
 * The lock of the fence waits for the writes that have passed it, and all later ones wait
 * behind: it is given up after some ms, and tried again, because a single transaction
 * that was left open would otherwise stop the slot. The same holds for all that is done
 * under the lock: past the budget the flip is undone, the taker imports again, and what
 * was written meanwhile is carried over before the next try. On a machine that is too
 * slow for that the budget grows in the end, so that the move comes to its end there,
 * too. */
#include <stdio.h>
#include <string.h>

#include "shard/base/clock.h"
#include "shard/base/log.h"

#include "shard/move_impl.h"

/* So many tries are made, of which the later ones may take longer. */
#define TRIES_MAX       400
#define TRIES_PER_BOUND 40
#define BOUNDS_MAX      4

/* Writers recover between two tries. */
#define PAUSE_MS 20

/* Entries of the journal that the flip itself carries over. */
#define REST_ENTRIES 1000

/* Beside the wait for the lock a flip may take so long: the rest, the check and the
 * commits. More when it has failed some times after it got the lock. */
#define CARRY_MS          100
#define CARRIES_MAX       6
#define LATE_TRIES_BEFORE 4

/* What a CALL may take while nobody waits for it. */
#define STEP_MS 5000

/* What the lock answers. */
struct locked {
    uint64_t seq_last;
    uint32_t own_last, has_home;
};

/* Steps of one try, and when each was done. */
enum flip_step { STEP_LOCK, STEP_REST, STEP_READY, STEP_GIVE, STEP_TAKE, FLIP_STEPS };

struct flip {
    struct move_run *run;
    struct arena arena;
    int64_t began_us;
    int64_t done_us[FLIP_STEPS]; /* 0: not come to */
    uint64_t entries;            /* of the journal, which this try carries over */
    int bound_ms;                /* for the lock, and for reading the rest */
    int64_t deadline_ms;         /* of the whole, monotonic: writers wait no longer */
    unsigned late_tries;         /* that got the lock and were undone */
    bool may_be_ready;           /* TO, since one of them */
    uint64_t sessions;           /* of both links when the flip was rehearsed last */
    struct locked locked;
    struct buf batch;
};

static const struct dbfield locked_fields[] = {
    {.column = "seq_last",
     .kind = DBFIELD_U64,
     .offset = offsetof(struct locked, seq_last)},
    {.column = "own_last",
     .kind = DBFIELD_U32,
     .offset = offsetof(struct locked, own_last)},
    {.column = "has_home",
     .kind = DBFIELD_U32,
     .offset = offsetof(struct locked, has_home)},
};

static enum move_status flip_call(struct flip *flip, struct move_link *link,
                                  struct link_call call, struct dbresult **results)
{
    call.link = link;
    call.arena = &flip->arena;
    enum move_status status = run_explain(flip->run, link, link_run(&call, 1));
    *results = call.results;
    return status;
}

static void step_done(struct flip *flip, enum flip_step step)
{
    flip->done_us[step] = clock_mono_us();
}

/* What the pause is made of: microseconds from one step to the next. */
static void log_steps(const struct flip *flip)
{
    long long took_us[FLIP_STEPS] = {0};
    int64_t before_us = flip->began_us;

    for (size_t i = 0; i < FLIP_STEPS && flip->done_us[i] != 0; i++) {
        took_us[i] = flip->done_us[i] - before_us;
        before_us = flip->done_us[i];
    }
    log_write(LOG_INFO, "move_flip",
              "slot=%u lock_us=%lld rest_us=%lld entries=%llu ready_us=%lld give_us=%lld "
              "take_us=%lld",
              flip->run->move->slot, took_us[STEP_LOCK], took_us[STEP_REST],
              (unsigned long long)flip->entries, took_us[STEP_READY], took_us[STEP_GIVE],
              took_us[STEP_TAKE]);
}

/* CALL under the lock, no longer than the budget lasts; a CALL that did not end in time
 * gives the lock up. MOVE_AGAIN: it is used up. */
static enum move_status flip_step(struct flip *flip, struct move_link *link,
                                  struct link_call call, struct dbresult **results)
{
    const int64_t left_ms = flip->deadline_ms - clock_mono_ms();

    if (left_ms <= 0) {
        return MOVE_AGAIN;
    }
    call.limit_ms = (int)left_ms;
    call.holder = flip->run->from;
    return flip_call(flip, link, call, results);
}

/* Give the lock up: the slot stays with FROM. */
static void unlock(struct flip *flip)
{
    if (flip->run->from->conn == NULL) { /* with its session, the lock is gone */
        return;
    }
    struct dbresult *results;
    const struct link_call call = {.proc = PROC_MOVE_UNLOCK, .limit_ms = STEP_MS};
    char error[sizeof flip->run->error];

    memcpy(error, flip->run->error, sizeof error);
    if (flip_call(flip, flip->run->from, call, &results) != MOVE_OK) {
        link_close(flip->run->from);
    }
    memcpy(flip->run->error, error, sizeof error);
}

/* MOVE_AGAIN: writers have waited long enough. */
static enum move_status lock(struct flip *flip)
{
    struct move_run *run = flip->run;
    struct dbresult *results;
    const struct link_call call = {.proc = PROC_MOVE_LOCK,
                                   .args = {run_slot(run), run_token(run)},
                                   .limit_ms = flip->bound_ms};

    const unsigned carries = 1 + flip->late_tries / LATE_TRIES_BEFORE;

    flip->began_us = clock_mono_us();
    memset(flip->done_us, 0, sizeof flip->done_us);
    flip->entries = 0;
    flip->deadline_ms =
        clock_mono_ms() + flip->bound_ms +
        (int64_t)CARRY_MS * (carries < CARRIES_MAX ? carries : CARRIES_MAX);
    run->flips++;
    enum move_status status = flip_call(flip, run->from, call, &results);
    if (status == MOVE_OK && !dbresult_read(results, 0, locked_fields,
                                            ARRAY_LEN(locked_fields), &flip->locked)) {
        unlock(flip);
        status = MOVE_REFUSED;
    }
    return status;
}

/* Read what is left to be carried over, and make a batch of it. MOVE_AGAIN: it is too
 * much, or takes too long. */
static enum move_status read_rest(struct flip *flip)
{
    struct move_run *run = flip->run;
    struct dbresult *parts;
    const struct link_call call = {.proc = PROC_MOVE_REST,
                                   .args = {run_slot(run), dbarg_number(REST_ENTRIES)}};

    enum move_status status = flip_step(flip, run->from, call, &parts);
    if (status != MOVE_OK) {
        return status;
    }
    const struct dbvalue *waiting = dbresult_value(run_last(parts), 0, "waiting");
    if (waiting == NULL) {
        return run_misread(run);
    }
    if (waiting->number > 0 ||
        clock_mono_us() - flip->began_us > 1000 * (int64_t)flip->bound_ms) {
        return MOVE_AGAIN;
    }
    const struct dbvalue *entries = dbresult_value(run_last(parts), 0, "entries");
    flip->entries = entries == NULL ? 0 : entries->number;
    return run_batch(parts, &flip->batch) ? MOVE_OK : MOVE_REFUSED;
}

/* TO gets the rest and is ready. */
static enum move_status make_ready(struct flip *flip, bool journal)
{
    struct move_run *run = flip->run;
    struct dbresult *results;
    const struct link_call call = {
        .proc = PROC_MOVE_READY,
        .args = {run_slot(run), run_token(run),
                 dbarg_text(flip->batch.data, flip->batch.len),
                 dbarg_number(flip->locked.seq_last), dbarg_number(flip->locked.own_last),
                 dbarg_number(flip->locked.has_home), dbarg_number(journal)}};

    enum move_status status = flip_step(flip, run->to, call, &results);
    return status == MOVE_OK && run->n_suspects > 0
               ? run_check_suspects(run, flip->deadline_ms)
               : status;
}

/* FROM says "moved": from here on there is no way back but another flip. MOVE_AGAIN: it
 * did not come to that in time. */
static enum move_status give(struct flip *flip, uint64_t epoch)
{
    struct move_run *run = flip->run;
    struct dbresult *results;
    const struct link_call call = {.proc = PROC_MOVE_GIVE,
                                   .args = {run_slot(run), run_token(run),
                                            dbarg_number(epoch),
                                            link_text(run->to->name)}};
    struct look look;

    enum move_status status = flip_step(flip, run->from, call, &results);
    if (status == MOVE_OK || status == MOVE_FENCED || run->from->conn != NULL) {
        return status;
    }
    return status == MOVE_AGAIN && run_look(run, run->from, &look) == MOVE_OK &&
                   look_is(&look, "migrating")
               ? MOVE_AGAIN
               : MOVE_LOST; /* whoever goes on finds out */
}

static enum move_status take_over(struct flip *flip, uint64_t epoch)
{
    struct move_run *run = flip->run;
    struct dbresult *results;
    const struct link_call call = {
        .proc = PROC_SLOT_TAKEOVER,
        .args = {run_slot(run), dbarg_number(epoch), run_token(run)},
        .limit_ms = STEP_MS};

    return flip_call(flip, run->to, call, &results);
}

/* Have both sessions load the routines of the flip, which takes longer than the flip:
 * each refuses a slot that there is not. */
static void rehearse(struct flip *flip)
{
    struct move_run *run = flip->run;
    const struct dbarg slot = dbarg_number(LINK_NO_SLOT);
    const struct dbarg none = dbarg_number(0);
    const struct dbarg empty = link_text("[]");
    const struct {
        struct move_link *link;
        struct link_call call;
    } calls[] = {
        {run->from, {.proc = PROC_MOVE_LOCK, .args = {slot, run_token(run)}}},
        {run->from, {.proc = PROC_MOVE_REST, .args = {slot, dbarg_number(1)}}},
        {run->from,
         {.proc = PROC_MOVE_GIVE,
          .args = {slot, run_token(run), none, link_text(run->to->name)}}},
        {run->to,
         {.proc = PROC_MOVE_READY,
          .args = {slot, run_token(run), empty, none, none, none, none}}},
        {run->to,
         {.proc = PROC_SLOT_TAKEOVER, .args = {slot, dbarg_number(1), run_token(run)}}},
    };

    for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
        struct dbresult *results;
        struct link_call call = calls[i].call;
        call.limit_ms = STEP_MS;
        call.is_rehearsal = true;
        (void)flip_call(flip, calls[i].link, call, &results);
    }
    run->error[0] = '\0';
}

/* From the lock to the commit; the lock is given up unless it is MOVE_OK. */
static enum move_status carry_over(struct flip *flip, uint64_t epoch, bool journal)
{
    enum move_status status = read_rest(flip);

    if (status == MOVE_OK) {
        step_done(flip, STEP_REST);
        flip->may_be_ready = true;
        status = make_ready(flip, journal);
    }
    if (status == MOVE_OK) {
        step_done(flip, STEP_READY);
        status = give(flip, epoch);
    }
    if (status != MOVE_OK) {
        unlock(flip);
        return status;
    }
    step_done(flip, STEP_GIVE);
    return MOVE_OK;
}

/* One try. MOVE_AGAIN: FROM still has the slot, and everything can be tried again. */
static enum move_status try_flip(struct flip *flip, uint64_t epoch, bool journal)
{
    enum move_status status =
        flip->may_be_ready ? run_import_again(flip->run, epoch) : MOVE_OK;

    if (status == MOVE_OK) {
        flip->may_be_ready = false;
        status = lock(flip);
    }
    if (status != MOVE_OK) {
        return status;
    }
    step_done(flip, STEP_LOCK);
    status = carry_over(flip, epoch, journal);
    if (status != MOVE_OK) {
        flip->late_tries++;
    } else if (take_over(flip, epoch) == MOVE_OK) {
        step_done(flip, STEP_TAKE);
    } else {
        status = MOVE_LOST;
    }
    log_steps(flip);
    return status;
}

int run_lock_bound_ms(const struct move_run *run, unsigned tries)
{
    unsigned bounds = 1 + tries / TRIES_PER_BOUND;

    return run->limits->lock_ms * (int)(bounds < BOUNDS_MAX ? bounds : BOUNDS_MAX);
}

/* Say why it does not come about. */
static void give_up(const struct flip *flip)
{
    (void)snprintf(flip->run->error, sizeof flip->run->error, "%s",
                   flip->late_tries > TRIES_MAX / 2
                       ? "carrying the rest over takes too long: one of both shards is "
                         "slow"
                       : FENCE_LOCKED);
}

enum move_status run_flip(struct move_run *run, uint64_t epoch, bool journal)
{
    struct flip flip = {.run = run};
    enum move_status status = MOVE_AGAIN;

    for (unsigned tries = 0; status == MOVE_AGAIN; tries++) {
        const unsigned late = flip.late_tries;
        flip.bound_ms = run_lock_bound_ms(run, tries);
        arena_init(&flip.arena, MOVE_ARENA_BYTES);
        buf_init(&flip.batch, MOVE_ARENA_BYTES);
        if (flip.sessions != run->from->sessions + run->to->sessions) {
            rehearse(&flip);
            flip.sessions = run->from->sessions + run->to->sessions;
        }
        status = try_flip(&flip, epoch, journal);
        if (status == MOVE_OK) {
            run->pause_us = clock_mono_us() - flip.began_us;
            run->is_journaled = false;
            run->error[0] = '\0';
        }
        buf_clear(&flip.batch);
        arena_release(&flip.arena);
        if (status == MOVE_AGAIN && tries == TRIES_MAX) {
            give_up(&flip);
            status = MOVE_REFUSED;
        }
        if (status == MOVE_AGAIN) {
            run->throttle = flip.may_be_ready || flip.late_tries > late
                                ? "the flip took too long, and was undone"
                                : FENCE_WAITS;
            run->error[0] = '\0'; /* it goes on */
            run_sleep_ms(PAUSE_MS);
            enum move_status drained = run_drain_all(run);
            status = drained == MOVE_OK ? MOVE_AGAIN : drained;
        }
    }
    return status;
}
