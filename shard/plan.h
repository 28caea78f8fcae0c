/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Which slots should move where, so that every shard has its share: pure computation.
 *
 * The plan evens out one figure of the slots: bytes, rows or load. A shard's fair
 * share is the sum over all slots times its weight, over the sum of the weights; how full
 * it is (its fill) is what it has over its fair share. The fleet's imbalance is the
 * highest fill: 1 is perfect, 1.5 means that one shard has half as much again as it
 * should.
 *
 *   fill   0      1-threshold   1   1+threshold
 *          |-----------|--------|--------|------------->
 *           too empty      good enough      too full
 *
 * A plan is a list of moves in order. Each single move is an improvement, so the list may
 * be stopped anywhere. Improvement means, by the first of these that changes:
 *   1. fewer slots are on shards that are drained;
 *   2. fewer bytes are above a capacity;
 *   3. the sum over shards of weight * (fill - 1)^2 falls, and the highest fill does not
 * rise: the taker ends less full than the giver was. No move puts a shard above its
 * capacity, and no slot moves twice.
 *
 * It is greedy as Citus' rebalancer (from the fullest shard to the emptiest), but chooses
 * the slot: what fills the gap of both and no more, for the fewest bytes; a larger one
 * than the gap only if most of it is won. It stops when every shard is within the goal,
 * or nothing more can be won.
 *
 * A slot that is more than any fair share is a giant: its shard should have it and
 * nothing else, and the other shards share the rest; thresholds are then parts of what is
 * theirs.
 *
 * Moving has a price of its own: where so little lies that no move wins the floor,
 * nothing needs to be done, however uneven it is. A floor stops neither drains nor what a
 * capacity asks for.
 *
 * Nothing here depends on time or chance: the same input, the same plan; among equals the
 * lower number comes first. */
#ifndef DOUSHARD_PLAN_H
#define DOUSHARD_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/check.h"

#define PLAN_SHARDS_MAX 4096
#define PLAN_SLOTS_MAX  ((size_t)1 << 20)

/* Not a shard. */
#define PLAN_NOWHERE SIZE_MAX

#define PLAN_THRESHOLD 0.10

/* A floor for bytes. A move of an empty slot takes about as long as copying 8,000 rows,
 * a MiB of them, and costs its writers the same pause. */
#define PLAN_FLOOR_BYTES 1048576.0

enum plan_by { PLAN_BYTES, PLAN_ROWS, PLAN_LOAD, PLAN_BY__COUNT };

struct plan_shard {
    const char *name;        /* (ref) for messages alone */
    double weight;           /* its relative share of the total; >= 0 */
    uint64_t capacity_bytes; /* 0: no limit */
    bool is_draining;        /* everything must leave; as weight 0 */
    bool is_closed;          /* its slots stay and none comes, because it is paused */
    unsigned n_moving; /* moves under way that give or take here, without those of the
                        * plan */
};

struct plan_slot {
    unsigned number;
    size_t shard;     /* its owner, an index */
    size_t moving_to; /* where it is moving and counts already; or PLAN_NOWHERE */
    bool is_pinned;   /* it stays where it is */
    uint64_t bytes;
    uint64_t rows;
    double load; /* >= 0, any unit */
};

struct plan_input {
    const struct plan_shard *shards; /* (ref) */
    size_t n_shards;
    const struct plan_slot *slots; /* (ref) */
    size_t n_slots;
    enum plan_by by;
    double threshold; /* fills within 1 -+ this need no move; > 0 */
    double goal;  /* a plan ends when all are within 1 -+ this; 0: half the threshold */
    double floor; /* of the evened figure: a move that gains less is not made, and a shard
                   * this near to its share needs no move; >= 0 */
    size_t moves_max; /* list at most this many; 0: all */
};

struct plan_move {
    size_t slot; /* index in the input */
    size_t giver;
    size_t taker;
    double value;     /* how much of the evened figure moves */
    double imbalance; /* of the fleet after it */
};

/* What one shard has. */
struct plan_fill {
    double value;
    uint64_t bytes;
    size_t n_slots;
    double fill; /* 0 for one that is drained */
};

enum plan_verdict {
    PLAN_EVEN,      /* nothing needs to be done */
    PLAN_MOVES,     /* the moves lead to the goal */
    PLAN_CUT_SHORT, /* there are more than moves_max */
    PLAN_STUCK,     /* they lead as far as single moves can; perhaps there are none */
    PLAN__COUNT
};

struct plan {
    enum plan_verdict verdict;
    bool is_floored;         /* without the floor there would be more moves */
    struct plan_move *moves; /* owned */
    size_t n_moves;
    struct plan_fill *before; /* owned, per shard; moving slots count where they go */
    struct plan_fill *after;  /* owned */
    double imbalance_before;
    double imbalance_after;
    double bytes_moved;
    double bytes_min;   /* no list of moves that reaches the goal can move fewer bytes */
    size_t n_undrained; /* slots that stay on drained shards after the moves listed */
};

/* Make *PLAN; call plan_release() in any case; the input's arrays stay the caller's.
 * NULL: done. Else what is wrong with the input, or "out of memory". */
const char *plan_make(struct plan *plan, const struct plan_input *input) MUST_CHECK;
void plan_release(struct plan *plan);

/* "bytes", "rows", "load"; and the value of a word, PLAN_BY__COUNT if there is none. */
const char *plan_by_name(enum plan_by by);
enum plan_by plan_by_named(const char *name);

/* How much SLOT has of what is evened out. */
double plan_slot_value(const struct plan_slot *slot, enum plan_by by);

/* ---- Carrying it out ---- */

/* The state of a move in the list. One given up stays where it was. */
enum plan_step { PLAN_WAITS, PLAN_RUNS, PLAN_DONE, PLAN_GIVEN_UP };

/* Which moves of PLAN may start now, given STEPS of all of them, at most PER_SHARD_MAX at
 * once on any shard, as giver or taker, with n_moving of the input. Writes their indexes
 * to NEXT, which has room for all moves, in order; returns how many.
 *
 * A move that must wait is overtaken only by moves whose giver is not its taker, and
 * whose taker is not its giver: so an early move is still an improvement. A taker must
 * have room also while slots that will leave it are still there: a slot's bytes are on
 * both shards until its move is done. */
size_t plan_next(const struct plan_input *input, const struct plan *plan,
                 const enum plan_step *steps, unsigned per_shard_max, size_t *next);

#endif
