/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The combiner: sends the calls of many threads to one procedure on one shard as one
 * CALL.
 *
 * A lane is the queue in front of one procedure on one shard. A ticket that finds it free
 * leads: its CALL goes at once, alone. Tickets that come while a CALL is under way wait;
 * when it is over, the one that has waited longest leads, and takes along as many others
 * as may share its CALL. An idle lane adds nothing, and the busier it is, the larger the
 * batches are (group commit: DeWitt et al., "Implementation Techniques for Main Memory
 * Database Systems", SIGMOD 1984). A CALL that takes long, because it waits for a row or
 * for the disk, holds nobody up for longer than slow_ms: then another one may go beside
 * it, up to LANE_CALLS_MAX at a time. Two from the start would do no more work, only in
 * smaller batches.
 *
 *   state of a ticket   what its thread does                  who moves it on
 *   WAITING             waits in combiner_wait()              a leader, or its deadline
 *   LEADS               gets a connection (or gives up),      combiner_end(), or
 *                       combiner_take(), the CALL             combiner_give_up()
 *   TAKEN               waits: a leader has it under way      that leader
 *   DONE                reads its report and places           -
 *
 * Operations that the procedures refuse in one batch (on one edge, with one op) never
 * share one, nor are they under way in two CALLs at a time: the second waits. What is
 * done in a slot that moves goes with its like, in one CALL at a time, and the others do
 * not wait for it. A batch that is refused, or that fails without having been done,
 * is halved until what is wrong with it is alone. Every ticket gets the answers to its
 * own operations, found by their place in the batch; no ticket is DONE before the CALL
 * with its operations is over.
 *
 * Threads: all functions are thread-safe; a ticket is used by the thread, or fiber, that
 * entered it.
 */
#ifndef DOUSHARD_COMBINER_H
#define DOUSHARD_COMBINER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/arena.h"
#include "shard/base/check.h"
#include "shard/base/wait.h"

#include "shard/dbexec.h"
#include "shard/dbresult.h"
#include "shard/ops.h"
#include "shard/outcome.h"
#include "shard/proc.h"
#include "shard/slotset.h"

/* CALLs of one lane at a time, where all but the youngest are slow. */
#define LANE_CALLS_MAX 2

struct combiner;
struct lane;

enum ticket_state { TICKET_WAITING, TICKET_LEADS, TICKET_TAKEN, TICKET_DONE };

/* How a CALL ended, as all its members are told. */
struct call_report {
    enum outcome lent; /* OK: it had a connection, and the rest is valid; else why not */
    enum db_status status;
    enum outcome refusal; /* of DB_REFUSED */
    bool is_late;         /* of DB_UNKNOWN: no answer in time */
    bool is_over;         /* of DB_UNKNOWN: it has ended and cannot commit any more */
    bool is_likely_again; /* of DB_UNKNOWN: the next attempt will probably end like this
                           * one */
    char detail[160];     /* of everything but success */
};

/* The operations that one thread wants of one procedure on one shard. */
struct ticket {
    /* Set before combiner_enter(). */
    struct ops *ops;     /* (ref) placed for this attempt */
    const size_t *index; /* (ref) which of them */
    size_t n;            /* how many; 1 to OPS_MAX */
    struct dbplace
        *places;         /* (ref) by number of the operation; set when DONE and DB_OK */
    struct arena *arena; /* (ref) the answers live as long as it does */
    int64_t deadline_ms; /* monotonic */
    uint32_t restless_slot; /* slot of all its operations if they may have to wait there,
                             * so that it goes only with others of that slot; SLOTS_MAX:
                             * none */

    /* Set when DONE. */
    struct call_report report;

    /* Of the combiner. */
    _Atomic enum ticket_state state;
    struct parker news; /* posted each time that others make it lead, or DONE */
    bool is_told;       /* its thread knows the state, and has no news to wait for */
    struct lane *lane;  /* NULL: its procedure is not combined */
    unsigned seat;      /* which of the lane's CALLs it leads */
    struct ticket *next;
    struct shared_results *results; /* (ref) one of theirs; set when DONE; NULL: none */
    struct arena_kept *kept;        /* in arena: memory for keeping the answers */
    uint64_t *marks;                /* in arena: the marks that keep its operations apart
                                     * from others */
    size_t n_marks;
    size_t company_max; /* tickets in one batch with it, itself included */
};

/* What goes in one CALL. Belongs to the thread that leads it. */
struct batch {
    struct ticket *leader;
    struct ticket *members; /* all members, the leader first */
    size_t n_members;
    struct ops_ref *refs; /* their operations, sorted as the procedures require */
    size_t n;
    struct dbplace *places; /* room for the answers to REFS */
    struct arena *arena;    /* for arguments and results: the leader's, or of RESULTS */
    struct shared_results *results; /* NULL: the leader is alone */
    int64_t deadline_ms;            /* the nearest deadline of all */
};

struct combiner_options {
    size_t n_shards;
    size_t batch_max; /* most operations in one CALL, 1 to OPS_MAX; 1: none is combined */
    size_t waiters_max; /* limit of each lane's queue; one slot may take three quarters of
                         * it */
    int slow_ms;   /* a CALL under way this long no longer keeps others waiting; 0: none
                    * does while there is a seat */
    int settle_ms; /* how long a CALL, and finding out what became of it, may take */
};

/* NULL: no memory. */
struct combiner *combiner_new(const struct combiner_options *options) MUST_CHECK;

/* No ticket may be in it. *COMBINER becomes NULL; NULL is allowed. */
void combiner_free(struct combiner **combiner);

/* May CALLs of PROC be combined? */
bool combiner_takes(enum proc_id proc);

/* Ask for PROC on SHARD. Then call combiner_wait() until the ticket is DONE. */
void combiner_enter(struct combiner *combiner, size_t shard, enum proc_id proc,
                    struct ticket *ticket);

/* Wait until the ticket LEADS or is DONE, and return which; a ticket that WAITS beyond
 * its deadline is DONE, with BUSY. A DONE ticket has left the combiner. */
enum ticket_state combiner_wait(struct ticket *ticket);

/* TICKET leads, and can make its CALL at once: choose who goes along. Taken tickets can
 * no longer leave when their deadline passes. */
void combiner_take(struct ticket *ticket, struct batch *batch);

/* TICKET leads, and makes no CALL: it is DONE with REPORT, and the next in line leads. */
void combiner_give_up(struct ticket *ticket, const struct call_report *report);

/* The CALL of BATCH has no answer, as REPORT (of DB_UNKNOWN) says, and the leader will
 * find out more: members whose deadline has passed do not wait for that. They become
 * DONE, except the leader; batch->deadline_ms is the nearest of the others. Call
 * combiner_end() afterwards, with DB_UNKNOWN. */
void combiner_let_go(struct batch *batch, const struct call_report *report);

/* The CALL of BATCH is over, with REPORT and the RESULTS of DB_OK: tell its members. Or
 * the batch is halved, and its leader leads again. Then the next in line lead. */
void combiner_end(struct batch *batch, const struct call_report *report,
                  const struct dbresult *results);

#endif
