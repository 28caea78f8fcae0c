/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* One move of a slot from one shard (the giver) to another (the taker), while it is
 * served.
 *
 *   phase      what it does
 *   preparing  the taker's fence is importing; what lies there of the slot is removed
 *   copying    the giver journals the keys of what is written; all rows go over
 *   draining   what the journal names goes over, again and again
 *   verifying  sums of both sides are compared
 *   flipping   what differs is looked at again; the giver's fence is locked, the rest
 *              goes over, it says "moved"
 *   keeping    the taker serves; what it writes goes back, so that the giver could
 *   reverting  a flip the other way
 *   purging    the giver's rows are removed
 *   undoing    called off before the flip: the taker's rows are removed
 *
 * What has happened is in the fences of both shards, and the request, with the wishes of
 * the operator, in slot_move on the giver; a mover keeps nothing that the next one would
 * miss. An attempt goes on from wherever things are and ends with the first CALL that
 * gets no answer; then the next one begins, by this process or another, with a new token
 * that fences this one out. What the steps rest on is in procedures/move/. */
#ifndef DOUSHARD_MOVE_H
#define DOUSHARD_MOVE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/check.h"

#include "shard/dbresult.h"

/* Bounds that an operator sets; see mover.h. */
struct move_limits {
    int lease_ms;            /* a mover that does not say anything for so long has died */
    unsigned imports_max;    /* slots that arrive on one shard at a time */
    int lock_ms;             /* writers wait so long for a flip that does not begin */
    int commit_ms;           /* it copies, compares and removes more slowly while
                                commits take longer; 0: never */
    unsigned statements_max; /* or while a shard has more under way at a time; 0: never */
    const char *lag_query;   /* (ref) how far replicas are behind, in ms; NULL: none */
    int lag_ms;              /* it stands still while they are more */
};

struct move_link;

enum move_phase {
    PHASE_QUEUED,
    PHASE_PREPARING,
    PHASE_COPYING,
    PHASE_DRAINING,
    PHASE_VERIFYING,
    PHASE_FLIPPING,
    PHASE_KEEPING,
    PHASE_REVERTING,
    PHASE_PURGING,
    PHASE_UNDOING,
    PHASE_DONE,
    PHASE_UNDONE,
    PHASE_FAILED,
    PHASE__COUNT
};

/* As slot_move has it. */
const char *move_phase_name(enum move_phase phase);

enum move_kind {
    MOVE_SLOT,    /* a slot to another shard */
    MOVE_PROMOTE, /* a user to a slot of their own, on the same shard */
    MOVE_DEMOTE,  /* and back; see shard/move_owner.c */
};

enum move_wish { WISH_GO, WISH_PAUSE, WISH_CANCEL, WISH_FINISH, WISH_ROLLBACK };

/* A row of slot_move that was claimed. */
struct move {
    uint64_t id;
    uint32_t slot;
    enum move_kind kind;
    uint64_t owner_id; /* who is promoted or demoted; 0: none */
    uint32_t own_slot; /* the user's own slot; 0: not known yet, or none */
    char giver[32], taker[32];
    enum move_phase phase;
    enum move_wish wish;
    uint64_t epoch;    /* that it leads to; 0: not chosen yet */
    uint32_t term;     /* claims so far */
    uint32_t restarts; /* times that it was begun anew */
    char token[33];    /* of this claim */
    int64_t keep_ms;
    uint32_t rows_per_s; /* copied, compared and removed at most; 0: no bound */
    uint64_t rows_total, rows_copied, bytes_copied, rows_verified;
    int64_t flipped_at_ms; /* since the Unix epoch; 0: not yet */
    uint64_t way_back;     /* after the flip: keys that had not gone back of late */
    int64_t told_ms;       /* monotonic; when slot_move heard of this claim last */
};

/* How an attempt ended. */
enum move_end {
    MOVE_OVER,  /* done, undone or failed: slot_move says which */
    MOVE_KEEPS, /* the flip is done: go on in a while */
    MOVE_RETRY, /* go on with a new claim, which anybody may take at once or after the
                   lease */
};

/* Fill MOVE from the row that move_claim() answered to a claim with TOKEN. False: it
 * cannot be read. */
bool move_read_claim(const struct dbresult *row, const char *token,
                     struct move *move) MUST_CHECK;

/* Work on MOVE until it is over, keeps, or something does not answer. LINKS, of the
 * calling thread, lead to all shards that there are, N of them; the giver and the taker
 * are found by their names. *STOP ends it after the step that it is in. Blocks. */
enum move_end move_attempt(struct move *move, struct move_link *links, size_t n,
                           const struct move_limits *limits, const atomic_bool *stop);

#endif
