/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Inside a move: shared by the files shard/move*.c only. */
#ifndef DOUSHARD_MOVE_IMPL_H
#define DOUSHARD_MOVE_IMPL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/arena.h"
#include "shard/base/buf.h"

#include "shard/move.h"
#include "shard/move_link.h"

/* Tables of a slot, in the order of move_tables.def. */
struct move_table {
    const char *name;
    unsigned n_key;    /* columns of the key after slot */
    bool has_text_key; /* the one that is no number is a text, not bytes */
};

enum {
#define MOVE_TABLE(name, n_key, has_text) MOVE_TABLE_##name,
#include "shard/move_tables.def"
#undef MOVE_TABLE
    MOVE_TABLES
};

extern const struct move_table move_tables[MOVE_TABLES];

/* Most bytes that one CALL may answer. */
#define MOVE_ARENA_BYTES ((size_t)64 << 20)

/* What slot_move says while the lock of a fence is not got, and when that is given up. */
#define FENCE_WAITS "waiting for writes that keep the slot's fence"
#define FENCE_LOCKED                                                                     \
    "somebody keeps the fence of the slot locked: look for a transaction that was left " \
    "open (innodb_trx)"

/* Entries of the journal that are carried over at a time. */
#define DRAIN_ENTRIES 2000

/* An attempt. */
struct move_run {
    struct move *move;
    struct move_link *links; /* (ref) one per shard */
    size_t n_links;
    const struct move_limits *limits; /* (ref) */
    const atomic_bool *stop;
    struct move_link *giver, *taker; /* (ref) as in slot_move; taker may be NULL in
                                        run_undo(): it is in no topology */
    struct move_link *from, *to;     /* the direction of rows now: one of them each */
    uint32_t from_slot, to_slot;     /* differ when an owner changes slots */
    bool is_journaled;               /* FROM journals: a pause must go on draining */
    int commit_ms;                   /* what telling slot_move took, on the giver */
    char throttle_text[64];
    const char *throttle; /* why it is slower than it could be; "": it is not */
    bool is_halted;       /* for that reason it stands still */
    bool is_removing;     /* rows, in whichever phase */
    bool has_looked;      /* how far replicas are behind, since this began */
    uint64_t rows_done;   /* copied, compared and removed in this attempt */
    uint64_t rate_rows;   /* of them at the time of the last beat */
    bool is_flipped;      /* the flip is done, and slot_move has not heard so */
    bool is_lost;         /* the journal was not kept */
    bool is_restart;      /* it is given back to be begun anew */
    uint64_t backlog;     /* as the last beat answered */
    int64_t drained_ms;   /* monotonic; when the journal was read last */
    unsigned flips;       /* since the last beat */
    int64_t pause_us;     /* of the flip; 0: none yet */
    struct buf suspects[MOVE_TABLES]; /* keys that differed, with commas between */
    size_t n_suspects;
    char error[256]; /* why the attempt ends; "": it does not */
};

/* Remember why the attempt ends with STATUS, of a CALL on LINK. Returns STATUS. */
enum move_status run_explain(struct move_run *run, const struct move_link *link,
                             enum move_status status);

/* What a shard is to the slot. */
struct look {
    char state[16]; /* of its fence; "none" */
    uint64_t epoch;
    char token[33];
    uint64_t next_epoch;
};

/* Is the fence in this STATE? */
bool look_is(const struct look *look, const char *state);

/* What the shard of LINK is to the slot. */
enum move_status run_look(struct move_run *run, struct move_link *link,
                          struct look *look) MUST_CHECK;

/* CALL with ARGS on LINK, whose answer does not matter. */
enum move_status run_call(struct move_run *run, struct move_link *link, enum proc_id proc,
                          const struct dbarg *args) MUST_CHECK;

/* How long writers may wait for try number TRIES: lock_ms, and after many tries some
 * times that, for machines that are too slow for it. */
int run_lock_bound_ms(const struct move_run *run, unsigned tries);

/* CALL a routine that takes the exclusive lock of a fence that is served: writers wait
 * behind it, so it is given up after some ms and tried again, ever more rarely; slot_move
 * hears of it. MOVE_LOST in the end. */
enum move_status run_locking(struct move_run *run, struct link_call *call) MUST_CHECK;

/* The same where the answer does not matter. */
enum move_status run_call_locking(struct move_run *run, struct link_call call) MUST_CHECK;

/* Which slot rows are read from on LINK, or written to. */
struct dbarg run_slot_on(const struct move_run *run, const struct move_link *link);

/* Whose rows only: as an argument; 0: everybody's. */
struct dbarg run_owner(const struct move_run *run);

/* The arguments that most routines of a move begin with: slot and token. */
struct dbarg run_slot(const struct move_run *run);
struct dbarg run_token(const struct move_run *run);

/* Tell slot_move how far it is, and in which phase from now on, and take what is wished.
 */
enum move_status run_beat(struct move_run *run, enum move_phase phase) MUST_CHECK;

/* Has a second passed since the last time? */
bool run_is_tick_due(const struct move_run *run);

/* The same when a second has passed since the last time; waits while a pause is wished,
 * but not while the move is kept only: what is written goes back all the same.
 * Not OK: the attempt ends, as run->error says, or because a cancellation is wished
 * (MOVE_OK is never answered then before the flip). */
enum move_status run_tick(struct move_run *run) MUST_CHECK;

/* Tell slot_move, with a lease of LEASE_MS (0: give the claim back). */
enum move_status run_tell(struct move_run *run, enum move_phase phase, int lease_ms);

/* Is the slot still the giver's, so that the move can be called off? */
bool run_is_before_flip(const struct move_run *run);

/* Between these rows are removed, not faster than the operator or the shards allow. */
void run_begin_removal(struct move_run *run);
void run_end_removal(struct move_run *run);

/* CALL routine PROC with ARGS on LINK, which removes rows; *N is how many. */
enum move_status run_remove(struct move_run *run, struct move_link *link,
                            enum proc_id proc, const struct dbarg *args,
                            uint64_t *n) MUST_CHECK;

/* Remove all rows of the slot on LINK, where its fence has EPOCH. */
enum move_status run_purge(struct move_run *run, struct move_link *link,
                           uint64_t epoch) MUST_CHECK;

/* Remove a journal on LINK that nobody needs any more. */
enum move_status run_sweep(struct move_run *run, struct move_link *link) MUST_CHECK;

/* The move is final: the journal ends, the rows left behind at FROM are removed, and it
 * is over as END says. */
enum move_status run_finish(struct move_run *run, enum move_phase end) MUST_CHECK;

/* LINK, to which the slot was to go, forgets it: it goes on with OTHER at EPOCH. A mover
 * that slept finds nothing there that would let it begin again. */
enum move_status run_forget(struct move_run *run, struct move_link *link,
                            const struct move_link *other, uint64_t epoch) MUST_CHECK;

/* Call the move off: the slot stays with the giver, for certain; then the taker forgets
 * it. If
 * nobody wished that, it is given back to be begun anew: MOVE_LOST. */
enum move_status run_undo(struct move_run *run) MUST_CHECK;

/* How many rows are to go: rows_total. */
enum move_status run_count_rows(struct move_run *run) MUST_CHECK;

/* Copy all rows behind the checkpoint: table TBL ("": the first) and key AFTER. */
enum move_status run_copy(struct move_run *run, const char *tbl,
                          const char *after) MUST_CHECK;

/* Write BATCH, as move_write takes it: N rows of a copy, or (TABLE is "") what the
 * journal named: a CALL for link_run(). */
struct link_call run_write(struct move_run *run, struct dbarg batch, const char *table,
                           const char *last_key, uint64_t n, struct arena *arena);

/* Carry over what the journal names, once; *ENTRIES is how many were there. */
enum move_status run_drain(struct move_run *run, uint64_t *entries) MUST_CHECK;

/* The same some times, until it is short if it can be. */
enum move_status run_drain_few(struct move_run *run) MUST_CHECK;

/* The same if it is long, so that it does not grow; on the way back some times a second.
 */
enum move_status run_drain_some(struct move_run *run) MUST_CHECK;

/* The same until hardly anything is left. If more is written than goes over, that needs a
 * phase in which writers wait for it (_slot_log_bound): not copying, not verifying. */
enum move_status run_drain_all(struct move_run *run) MUST_CHECK;

/* Make PARTS, what move_drain() answers, the argument of move_write(). False: memory is
 * short. */
bool run_batch(const struct dbresult *parts, struct buf *batch) MUST_CHECK;

/* The last answer of move_drain() or move_rest(), which says how much it was. */
const struct dbresult *run_last(const struct dbresult *parts);

/* That answer is not what it should be: MOVE_REFUSED, as run->error says. */
enum move_status run_misread(struct move_run *run);

/* Compare the sums of both sides; what differs is suspect. */
enum move_status run_verify(struct move_run *run) MUST_CHECK;

/* Drain, and look at the suspects again: those that still differ remain. Writers wait for
 * it as for run_drain_all(). */
enum move_status run_narrow_suspects(struct move_run *run) MUST_CHECK;

/* Are the suspects the same on both sides? MOVE_REFUSED: no, as run->error says;
 * MOVE_AGAIN: it was not known by DEADLINE_MS (monotonic). FROM holds locks meanwhile:
 * a CALL that is late closes it. */
enum move_status run_check_suspects(struct move_run *run, int64_t deadline_ms) MUST_CHECK;

/* TO, which may be ready at EPOCH, imports again. */
enum move_status run_import_again(struct move_run *run, uint64_t epoch) MUST_CHECK;

/* Lock, carry the rest over, and give FROM's slot to TO at EPOCH; JOURNAL: so that it
 * could come back. */
enum move_status run_flip(struct move_run *run, uint64_t epoch, bool journal) MUST_CHECK;

/* FROM journals from here on. */
enum move_status run_open(struct move_run *run) MUST_CHECK;

/* Carry over and compare; then only the flip is left. */
enum move_status run_catch_up(struct move_run *run, enum move_phase draining,
                              enum move_phase verifying,
                              enum move_phase flipping) MUST_CHECK;

/* No rows are suspect any more. */
void run_forget_suspects(struct move_run *run);

/* Tell every shard that answers where SLOT is now. */
void run_spread(struct move_run *run, uint32_t slot, uint64_t epoch, const char *server);

/* One step of a promotion or demotion; MOVE_AGAIN: another one. OTHER: a second link to
 * its shard. */
enum move_status owner_step(struct move_run *run, struct move_link *other) MUST_CHECK;

/* Call a promotion or demotion off, as run_undo(). */
enum move_status owner_undo(struct move_run *run) MUST_CHECK;

/* Sleep, no longer than that the lease lasts. */
void run_sleep_ms(int ms);

/* When the next step of a move is due; zeroed at the begin. */
struct pace {
    int64_t due_us; /* monotonic */
    bool drains;    /* the journal, while it waits */
};

/* How many rows a step may have: MOST, or fewer when the operator bounds them (not on the
 * way back, unless it removes them). */
uint64_t run_chunk_rows(const struct move_run *run, uint64_t most);

/* A step that is done, and what bounds the next one. */
struct pace_step {
    int64_t began_us, ended_us; /* monotonic */
    uint64_t rows;
    uint32_t rows_per_s; /* 0: no bound */
    bool is_slowed;      /* a shard has too much to do */
};

/* When the next step is due: the later of what the operator and the shards allow. */
int64_t pace_due_us(const struct pace_step *step);

/* Not faster than the operator or the shards allow: wait until the N rows which a step
 * that began at STEP_US (monotonic) has copied, compared or removed are due. */
enum move_status run_pace(struct move_run *run, struct pace *pace, int64_t step_us,
                          uint64_t n) MUST_CHECK;

#endif
