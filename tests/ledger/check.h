/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The checker of the ledger test: do the rows of the shards agree with what the clients
 * were told? Pure: a history, rows and polled mailboxes in, violations out.
 *
 *   I1   nothing that was acknowledged is lost
 *   I2   nothing is there that nobody asked for
 *   I3   nothing was done twice
 *   I4   both halves of everything agree
 *   I5   every counter is the number of its rows
 *   I6   while running, no counter was read that could not be
 *   I8   messages once in both mailboxes, numbered without gaps, in the order sent; each
 *        given once to who polls, in that order, and to nobody else
 *   I16  nothing refers to what never existed
 *   I17  the outbox is empty
 *
 * The clients are told no versions. So "lost" is judged by time: an edge may have the
 * state of an operation only if no acknowledged one with the other state began after that
 * had returned. An unknown operation may take effect at any time, or never. */
#ifndef DOUSHARD_TESTS_LEDGER_CHECK_H
#define DOUSHARD_TESTS_LEDGER_CHECK_H

#include <stddef.h>
#include <stdio.h>

#include "shard/base/check.h"

#include "tests/ledger/history.h"
#include "tests/ledger/mailboxes.h"
#include "tests/ledger/rows.h"

enum ledger_invariant {
    INVARIANT_LOST = 1,
    INVARIANT_INVENTED = 2,
    INVARIANT_TWICE = 3,
    INVARIANT_HALVES = 4,
    INVARIANT_COUNTERS = 5,
    INVARIANT_BOUNDS = 6,
    INVARIANT_MESSAGES = 8,
    INVARIANT_REFERENCES = 16,
    INVARIANT_INTENTS = 17,
    INVARIANT__COUNT
};

/* A message that takes longer to the other mailbox has missed its first delivery. */
#define LEDGER_LATE_MS 1000

/* What was found. Set OUT, MOST and STALE_US before; the rest to zero. */
struct ledger_report {
    FILE *out;        /* one line per violation; NULL: only count */
    unsigned most;    /* lines per invariant */
    int64_t stale_us; /* counters that were read may be so old */
    size_t violations[INVARIANT__COUNT];
    size_t total;
    size_t edges;    /* looked at, by pairs of owners */
    size_t comments; /* likewise */
    size_t messages;
    size_t given; /* messages, to those who polled .. */
    size_t late;  /* .. of them more than LEDGER_LATE_MS after they were sent */
    size_t reads;
    size_t changes; /* requests that changed rows, concluded from versions */
};

/* Look at everything. Sorts HISTORY and ROWS. MAILBOXES have been polled to their end. */
void ledger_check(struct ledger_history *history, struct ledger_rows *rows,
                  const struct ledger_mailboxes *mailboxes, struct ledger_report *report);

/* ---- Between the files of the checker ---- */

/* Everything that a part of the checker needs. */
struct ledger_case {
    struct ledger_history *history; /* by (kind, actor, target, invoked) */
    struct ledger_rows *rows;       /* each array by its key */
    const struct ledger_mailboxes *mailboxes;
    struct ledger_report *report;
    const struct ledger_op **by_name; /* owned; the operations by (worker, n) */
    const struct ledger_op **by_item; /* owned; uncomments by (target, item) */
    size_t n_by_item;
};

void ledger_violation(struct ledger_report *report, enum ledger_invariant invariant,
                      const char *fmt, ...) PRINTF_LIKE(3, 4);

/* NULL: there is none. */
const struct ledger_user *ledger_user_of(const struct ledger_case *c, uint64_t id);
const struct ledger_video *ledger_video_of(const struct ledger_case *c, uint64_t id);
const struct ledger_op *ledger_op_named(const struct ledger_case *c, uint32_t worker,
                                        uint32_t n);

/* The index of the first operation of KIND by ACTOR. */
size_t ledger_first_op(const struct ledger_history *history, enum ledger_kind kind,
                       uint64_t actor);

/* What a number can have been. */
struct ledger_bounds {
    int64_t least;
    int64_t most;
};

/* How many edges of KIND the actor of READ can have had at some moment of it. */
struct ledger_bounds ledger_edge_bounds(const struct ledger_case *c,
                                        enum ledger_kind kind,
                                        const struct ledger_op *read);

void ledger_check_edges(struct ledger_case *c);
void ledger_check_comments(struct ledger_case *c);
void ledger_check_messages(struct ledger_case *c);
void ledger_check_polls(struct ledger_case *c);
void ledger_check_counters(struct ledger_case *c);
void ledger_check_reads(struct ledger_case *c);

/* For qsort() and for merging: order by numbers. */
static inline int ledger_compare(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

#endif
