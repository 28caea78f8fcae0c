/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Inside the retry loop: one request of a caller to the shards.
 *
 * An errand has tasks, one per operation. In every attempt (router_call.c) the tasks that
 * still have no answer are packed into parcels, one per shard (router_pack.c); the
 * parcels are sent side by side; and what comes back either settles a task or leaves it
 * pending for the next attempt (router_answer.c). */
#ifndef DOUSHARD_ROUTER_ERRAND_H
#define DOUSHARD_ROUTER_ERRAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/call.h"
#include "shard/combiner.h"
#include "shard/dbexec.h"
#include "shard/dbresult.h"
#include "shard/ops.h"
#include "shard/outcome.h"
#include "shard/proc.h"
#include "shard/router_call.h"
#include "shard/router_impl.h"

/* Attempts of one request that ended with an answer or an error. "notready" does not
 * count: it ends by itself, and only the deadline limits it. */
#define ATTEMPTS_MAX 6

/* Limit of attempts that took the whole call_timeout_ms without an answer, or ended in a
 * way that the next attempt probably will, too. */
#define DEAR_ATTEMPTS_MAX 2

/* One operation. */
struct task {
    struct router_subject subject;
    bool is_pending;
    enum outcome so_far; /* the answer if we must give up now */
    uint32_t slot;       /* of this attempt, like the rest */
    uint64_t epoch;
    unsigned server;
    bool maybe_done; /* an earlier attempt got no answer: only an answer of the procedure
                      * can now tell whether it was done */
};

/* The tasks for one shard in one attempt. */
struct parcel {
    struct shard *shard;
    size_t n;
    size_t *index; /* of the tasks, which are numbered like the operations */
    struct dbarg args[PROC_ARGS_MAX];
    uint32_t restless_slot; /* the only slot that it concerns; SLOTS_MAX: none */
    bool is_in;             /* counts among the requests of its shard, in this attempt */
    bool is_ready;          /* has its arguments, and was not sent yet in this attempt */
    bool has_fair_time;     /* silence would say something about the shard */
    struct shard_session session; /* of the connection, to kill it by */
};

/* One request of a caller until all of its tasks have answers. */
struct errand {
    struct router *router;
    struct call *call;
    enum proc_id proc;
    struct ops *ops;          /* of a batch, else NULL */
    const struct dbarg *rest; /* of a PROC_OWNER call: arguments after slot and epoch */
    struct task *tasks;
    size_t n_tasks;
    struct router_answer *answers;
    size_t n_shards;          /* number of shards that there is room for */
    struct parcel *parcels;   /* room for one per shard */
    struct dbexec *execs;     /* likewise */
    struct dbplace *places;   /* answers, one per task */
    struct dbplace *in_order; /* room for those of one parcel, in the order of its CALL */
    size_t n_parcels;
    unsigned rounds;   /* attempts of any kind: makes the pauses longer */
    unsigned attempts; /* those that did not just find a slot not ready */
    unsigned dear_attempts;
    int64_t notready_until_ms; /* give up waiting for slots then; 0 = none was met */
    int64_t hurry_at_ms; /* when to have the shards of such a slot checked; as above */
    bool only_notready;  /* in this attempt */
    bool is_dear;        /* one that runs now is dear */
};

/* The procedure has answered task I. */
void errand_settle(struct errand *e, size_t i, enum outcome outcome);

/* Task I will get no answer of the procedure: OUTCOME, or UNKNOWN when it may be done. */
void errand_give_up(struct errand *e, size_t i, enum outcome outcome);

/* The same for all tasks of PARCEL. */
void errand_give_up_parcel(struct errand *e, const struct parcel *parcel,
                           enum outcome outcome);

/* Pack the pending tasks into parcels; settles those without a shard. A shard added after
 * the room was made has to wait for the next attempt. */
void errand_pack(struct errand *e);

/* Write the arguments of PARCEL, which goes alone. False: they do not fit. */
bool errand_write(struct errand *e, struct parcel *parcel) MUST_CHECK;

/* EXEC has run for E: make the report for those in it. */
void errand_report(const struct errand *e, const struct dbexec *exec,
                   struct call_report *report);

/* May the CALL of REPORT still be running and change something? */
bool errand_may_run(const struct errand *e, const struct call_report *report);

/* End such a CALL, that of PARCEL, on the session it ran on, by DEADLINE_MS (monotonic);
 * REPORT says then whether it has ended. */
void errand_kill(const struct errand *e, struct parcel *parcel, int64_t deadline_ms,
                 struct call_report *report);

/* May E repeat the CALL of REPORT, of DB_UNKNOWN, once it has ended? */
bool errand_may_repeat(const struct errand *e, const struct call_report *report);

/* The CALL of PARCEL is over as REPORT says, its answers are in e->places: settle its
 * tasks or leave them pending. */
void errand_digest(struct errand *e, struct parcel *parcel,
                   const struct call_report *report);

#endif
