/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The moves of all shards (CALL move_status()), as operators see them: read, printed, and
 * followed until they are over. */
#ifndef DOUSHARD_SCRIPTS_SHARDCTL_MOVES_H
#define DOUSHARD_SCRIPTS_SHARDCTL_MOVES_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/check.h"

#include "shard/move.h"
#include "shard/slotset.h"

#include "scripts/shardctl_fleet.h"
#include "scripts/shardctl_units.h"

/* As move_status answers it; times are ms since the Unix epoch by the clock of the shard
 * that was asked, 0: never. */
struct move_row {
    uint64_t move_id; /* on that shard */
    uint32_t slot;
    const char *kind, *giver, *taker, *wish, *holder, *throttle, *requested_by,
        *last_error;
    const char *phase_text;
    enum move_phase phase;
    uint64_t owner_id;
    uint32_t own_slot;
    uint64_t epoch, rows_total, rows_copied, bytes_copied, rows_verified, backlog, rate;
    uint32_t rows_per_s, flips, restarts;
    int64_t pause_us;
    int64_t now_ms, claimed_until_ms, requested_at_ms, started_at_ms, flipped_at_ms,
        finished_at_ms, keep_ms;
    size_t shard; /* that was asked: an index in the topology */
};

/* All moves at one time. Texts live until moves_end(). */
struct moves {
    struct fleet fleet;
    struct move_row *rows; /* by shard and number */
    size_t n;
};

/* Read them. False: the reason is printed on standard error. So are shards that do not
 * answer (fleet.n_silent), unless IS_QUIET. Call moves_end() in any case. */
bool moves_read(struct moves *moves, const struct shardctl *ctl,
                bool is_quiet) MUST_CHECK;
void moves_end(struct moves *moves);

/* The move of SLOT that is under way; NULL: none. */
const struct move_row *moves_of_slot(const struct moves *moves, uint32_t slot);

/* Done, undone or failed. */
bool move_is_over(const struct move_row *row);

/* The taker serves the slot, and the move only waits for the end of the time in which it
 * can be rolled back. */
bool move_is_kept(const struct move_row *row);

/* How long no mover has worked on it although one could. 0: a mover works on it, or need
 * not: a move that is kept needs one only when that time is over. */
int64_t move_waits_ms(const struct move_row *row);

/* Is a mover at work, or was a moment ago? Moves that nobody works on then may be waiting
 * for their turn. */
bool moves_have_mover(const struct moves *moves);

/* How much of the phase is done, 0 to 100; -1: unknown. */
int move_percent(const struct move_row *row);

/* ms until the phase is done at the present rate; -1: unknown. */
int64_t move_eta_ms(const struct move_row *row);

/* One line, without its end. */
#define MOVE_LINE 640
const char *move_line(const struct move_row *row, char line[MOVE_LINE]);

/* Everything that is known; NULL: out of memory. */
json_t *move_json(const struct move_row *row);

/* ---- Following ---- */

/* Moves that are followed, with a line a second for each. */
struct follow {
    const struct shardctl *ctl;
    struct followed *items; /* owned */
    size_t n;
    size_t n_left;   /* that are not over yet, and not kept */
    size_t n_failed; /* that did not end as asked for */
    bool is_watch;   /* a move that was called off counts as ended as asked for */
    bool is_silent;  /* a shard did not answer at the last look */
};

/* One of them. */
struct followed {
    char shard[32]; /* that was asked */
    uint64_t move_id;
    uint32_t slot;
    bool is_over;
    bool is_failed;     /* over, but not as asked for */
    int64_t due_ms;     /* monotonic; when its next line is due */
    char obstacle[256]; /* what is or was in its way; "": nothing */
    bool is_first;      /* that was in the way of no other before */
};

/* Begin: SIGINT and SIGTERM end the waiting from now on. */
void follow_begin(struct follow *follow, const struct shardctl *ctl);
void follow_end(struct follow *follow);

/* Add one. False: out of memory, which is printed. */
bool follow_add(struct follow *follow, const char *shard, uint64_t move_id,
                uint32_t slot) MUST_CHECK;

/* Read the moves, print a line for each that has ended or is due, and wait until it is
 * time to read again. False: a signal came, or standard output is closed. */
bool follow_step(struct follow *follow) MUST_CHECK;

/* Follow until none is left. Returns the exit status as below. */
int follow_all(struct follow *follow);

/* 1 when one failed, or when some are left, after a line on what goes on; else 0. */
int follow_end_status(const struct follow *follow);

/* Print a line on standard output, as text or, with --json, as the object {NAME: TEXT}.
 */
void follow_say(const struct follow *follow, const char *name, const char *text);

#endif
