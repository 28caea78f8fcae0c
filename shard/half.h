/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The second halves of writes to two owners: their outbox rows, and batches of them sent
 * to the target and back.
 *
 * The first half is committed at the actor together with a row in the outbox. The second
 * is made at the target by a *_deliver procedure, which may be repeated and called out of
 * order. The row is removed when the target has the half (outbox_done) or refuses it
 * (outbox_undo, which also undoes the first half). */
#ifndef DOUSHARD_HALF_H
#define DOUSHARD_HALF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/check.h"

#include "shard/call.h"
#include "shard/dbresult.h"
#include "shard/ops.h"
#include "shard/outcome.h"

struct router;

enum half_kind { HALF_FOLLOW, HALF_FAVORITE, HALF_COMMENT, HALF_MESSAGE, HALF__COUNT };

/* One second half. (kind, actor_id, target_id, seq) is the key of its outbox row. */
struct half {
    enum half_kind kind;
    uint64_t actor_id;  /* owner of the first half; of a comment: the video */
    uint64_t target_id; /* owner of the second; of a comment: its author */
    uint64_t seq;       /* number of the message, id of the comment; 0 for edges */
    uint64_t ver;       /* version to make */
    unsigned state;     /* 1: it must exist; 0: it must not */
    int64_t at_ms;      /* when the first half was made; not needed for messages */

    /* Of messages only. */
    uint64_t message_id;
    uint64_t prev_id; /* of the one before it in the chat; 0: not known */
    const char *text;
    unsigned char op[OP_BYTES];

    /* As outbox_list reported. */
    unsigned attempts; /* failed ones so far */
    bool is_head;      /* false: the message before it waits, too */
};

/* The state of a half in a list. */
enum half_state {
    HALF_WAITING, /* to be delivered */
    HALF_MADE,    /* the target has it */
    HALF_REFUSED, /* the target is gone */
    HALF_LATER,   /* the target's shard did not answer: not the half's fault */
    HALF_APART,   /* the two mailboxes of the chat differ: see chat_repair */
    HALF_FAILED   /* an answer that no half should get */
};

/* "follow", "favorite", "comment", "message". Static text. */
const char *half_word(enum half_kind kind);

/* Read row ROW of outbox_list(). False: it cannot be read; *HALF then has at most the key
 * and the version that half_fail() needs, or kind HALF__COUNT. */
bool half_read(const struct dbresult *result, size_t row, struct half *half) MUST_CHECK;

/* What an OUTCOME of half_deliver() means for HALF. Only the head of a chat cannot have a
 * gap before it. Pure. */
enum half_state half_state_from(const struct half *half, enum outcome outcome);

/* Choose the next batch out of the N HALVES, all of one kind: those that wait, in order,
 * as many as one CALL takes. Messages of one chat go one after the other: one per batch,
 * none while an earlier one in the list is not delivered; those after a message that is
 * LATER, APART or FAILED become LATER. INDEX has room for OPS_MAX. Returns how many; 0
 * when none waits any more. Pure. */
size_t half_pick(const struct half *halves, enum half_state *states, size_t n,
                 size_t *index);

/* Reduce the N HALVES to one per outbox row: the newest version, since the row cannot
 * wait for an older one. Keeps the order; returns how many are left. Pure. */
size_t half_merge(struct half *halves, size_t n);

/* Halves that go together in one CALL per shard. */
struct half_batch {
    const struct half *halves; /* a list */
    const size_t *index;       /* indexes into the list */
    size_t n;                  /* how many; 1 to OPS_MAX */
    enum outcome *outcomes;    /* of the whole list; those of the batch are set */
};

/* The functions below block until call->deadline_ms at the latest. */

/* Make the second halves at their targets; all of one kind, as half_pick() chose them.
 * OK, SAME (it, or a newer one, was there), NOTFOUND (refused), GAP (a message before it
 * is missing), CONFLICT (another message has its place), or why there is no answer. */
void half_deliver(struct router *router, struct call *call,
                  const struct half_batch *batch);

/* Remove the outbox rows, unless they are for a newer version by now. OK or SAME. */
void half_done(struct router *router, struct call *call, const struct half_batch *batch);

/* Undo the first halves, if they still have this version. OK or SAME. */
void half_undo(struct router *router, struct call *call, const struct half_batch *batch);

/* The targets' shards did not answer: put the halves off, so that others have their turn.
 * OK or SAME. */
void half_put_off(struct router *router, struct call *call,
                  const struct half_batch *batch);

/* They failed: put them off, longer each time; the HALF_ATTEMPTS_MAX-th failure parks the
 * row for an operator. OK or SAME. */
void half_fail(struct router *router, struct call *call, const struct half_batch *batch);

/* How many failures park a row (procedures/outbox/outbox_fail.sql). */
#define HALF_ATTEMPTS_MAX 20

#endif
