/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Fibers: many pieces of work on few threads, each on a small stack of its own.
 *
 * A request computes for a hundred microseconds and waits for milliseconds: for a shard,
 * for a connection, for others that it shares a CALL with. With a thread each, hundreds
 * of threads take turns on a few cores, and 40 % of the server's time went into that. A
 * fiber waits without its thread: what waits (all of it is in wait.h) leaves a note of
 * what for and switches to the loop of its thread, which runs whoever is ready, then asks
 * epoll what has happened. So handlers and the shard library stay straight-line code, and
 * run on threads as well: in tools, in tests, in threads with a task of their own.
 *
 *   fibers_submit()        the loop of a thread                   a fiber
 *   any thread  --inbox--> takes work in, gives it a fiber -----> runs it
 *   another's post ------> makes ready who was waited for         waits: wait.h
 *                          runs all that are ready, in order <--- switches back
 *                          epoll_wait(), until the next deadline
 *
 * A fiber stays on the thread that began it, so that errno and thread-local variables
 * mean the same before and after a wait. Between two waits it has the thread for itself:
 * nothing may be put into a thread-local variable there that must last over a wait (the
 * log's scope is carried along), no mutex may be held over one, and who computes for long
 * or blocks keeps all others of that thread waiting. Work of that kind belongs on threads
 * (ROUTE_THREAD in server/request/route.h).
 *
 * The inbox is a list that any thread pushes on and only the loop takes from, all at once
 * (Treiber, "Systems Programming: Coping with Parallelism", IBM RJ 5118, 1986). A system
 * call wakes the loop only if it said that it is about to sleep; it looks into its inbox
 * once more after that (Dekker's pattern), so that nothing is left lying.
 *
 * Stacks are mapped as they are needed, at most work_max of them, and kept for the next;
 * what was of no use for ten seconds is unmapped. Some are there from the start: with no
 * memory for more, work waits for one of them.
 */
#ifndef DOUSHARD_BASE_FIBER_H
#define DOUSHARD_BASE_FIBER_H

#include <stdbool.h>
#include <stddef.h>

#include "shard/base/check.h"
#include "shard/base/work.h"

struct fibers;

struct fibers_options {
    unsigned n_threads; /* at least 1 */
    size_t work_max;    /* most pieces of work that are under way; at least 1 */
    size_t stack_bytes; /* of each fiber; 0: fiber_stack_bytes() */
};

struct fibers_state {
    unsigned n_threads;
    size_t n_work;   /* pieces of work under way that were submitted */
    size_t n_stacks; /* mapped, in use or not */
};

/* Several times what a request needs; more in builds with sanitizers, whose frames are
 * larger. Only pages that were touched take memory. */
size_t fiber_stack_bytes(void);

/* Start the threads. NULL when memory, threads or file descriptors (two for each thread)
 * are short. */
struct fibers *fibers_new(const struct fibers_options *options) MUST_CHECK;

/* Wait for all that was submitted, and end the threads: when this returns, all functions
 * that work called have returned. Nothing new is accepted from now on. NULL is allowed.
 * Takes as long as the work does. Once, and by one thread. */
void fibers_stop(struct fibers *fibers);

/* Stop, unless that is done, and free. Nobody may submit any more; threads that post what
 * fibers wait for may go on. *FIBERS becomes NULL; NULL is allowed. */
void fibers_free(struct fibers **fibers);

/* Run WORK on a fiber of the thread that has least to do. False: work_max are under way,
 * or it stops; WORK is still the caller's. Never blocks. Thread-safe. */
bool fibers_submit(struct fibers *fibers, struct work *work) MUST_CHECK;

/* Is this a fiber? Else it is a thread that runs none now. */
bool fiber_is_here(void);

/* Run WORK on another fiber of this thread, which begins when the one that calls waits.
 * False: this is no fiber, or its thread has its part of work_max stacks in use, or no
 * memory for one more; WORK is still the caller's. */
bool fiber_spawn(struct work *work) MUST_CHECK;

/* Thread-safe. */
void fibers_state(const struct fibers *fibers, struct fibers_state *state);

#endif
