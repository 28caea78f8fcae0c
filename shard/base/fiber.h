/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Fibers: many pieces of work on few threads, each on a small stack of its own.
 *
 * A request computes for a hundred microseconds and waits for milliseconds: for a shard,
 * for a connection, for others in the same CALL. With a thread for each request,
 * switching between hundreds of threads on a few cores takes 40 % of the server's time. A
 * fiber waits without its thread: waiting (always by wait.h) notes what it waits for and
 * switches to the loop of its thread, which runs the fibers that are ready, then asks
 * epoll for events. So handlers and the shard library stay straight-line code, and also
 * run on threads: in tools, in tests, in background threads.
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
    size_t work_max;    /* limit of work under way; at least 1 */
    size_t stack_bytes; /* of each fiber; 0: fiber_stack_bytes() */
};

struct fibers_state {
    unsigned n_threads;
    size_t n_work;   /* submitted work under way */
    size_t n_stacks; /* mapped, in use or not */
};

/* Several times what a request needs; more in builds with sanitizers, whose frames are
 * larger. Only touched pages take memory. */
size_t fiber_stack_bytes(void);

/* Start the threads. NULL: no memory, threads or file descriptors (two for each
 * thread). */
struct fibers *fibers_new(const struct fibers_options *options) MUST_CHECK;

/* Wait for all submitted work, and end the threads: when this returns, no work is
 * running. No new work is accepted from now on. NULL is allowed. Takes as long as the
 * work does. Call it once. */
void fibers_stop(struct fibers *fibers);

/* Stop, unless stopped already, and free. No work may be submitted any more; threads that
 * post to fibers may go on. *FIBERS becomes NULL; NULL is allowed. */
void fibers_free(struct fibers **fibers);

/* Run WORK on a fiber of the least busy thread. False: work_max are under way, or it is
 * stopping; WORK is still the caller's. Never blocks. Thread-safe. */
bool fibers_submit(struct fibers *fibers, struct work *work) MUST_CHECK;

/* Does the caller run on a fiber? Otherwise on a thread. */
bool fiber_is_here(void);

/* Run WORK on another fiber of this thread, which begins when the calling one waits.
 * False: the caller is not on a fiber, or its thread uses its share of work_max stacks,
 * or there is no memory; WORK is still the caller's. */
bool fiber_spawn(struct work *work) MUST_CHECK;

/* Thread-safe. */
void fibers_state(const struct fibers *fibers, struct fibers_state *state);

#endif
