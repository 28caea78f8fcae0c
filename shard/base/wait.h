/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Everything that a request may wait for: file descriptors, other requests, the clock.
 *
 * On a fiber the thread goes on with other fibers meanwhile; a thread without fibers
 * sleeps, in poll(2), on a semaphore or in nanosleep(2). These functions find out which,
 * so callers need not know. Deadlines are on the monotonic clock; one in the past means
 * to check without waiting.
 *
 * The caller must not hold a mutex while waiting here.
 */
#ifndef DOUSHARD_BASE_WAIT_H
#define DOUSHARD_BASE_WAIT_H

#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "shard/base/check.h"

struct fiber;

/* Most file descriptors in one list: one per server, and one to spare. */
#define WAIT_FDS_MAX 256

/* A deadline that never comes. */
#define WAIT_FOR_EVER INT64_MAX

/* ---- File descriptors ---- */

/* A file descriptor to wait for. The caller sets the first group and everything else to
 * 0; it must not move until wait_fds_end() or until something has happened to it. */
struct wait_fd {
    int fd;
    short events; /* as of poll(2) */
    struct wait_fd *next;

    short revents; /* as of poll(2); valid after wait_fds() */

    /* Of wait.c and fiber.c. */
    struct fiber *fiber;
    bool is_armed; /* epoll knows it, and nothing has happened to it yet */
};

/* Wait until something has happened to one of FDS. False: the deadline has passed first.
 * True may also mean to call again. A closed file descriptor gets POLLNVAL. Those without
 * an event stay armed for the next call, and must not be closed before wait_fds_end(). */
bool wait_fds(struct wait_fd *fds, int64_t deadline_ms) MUST_CHECK;

/* Stop waiting for FDS. Not needed for those that had an event. */
void wait_fds_end(struct wait_fd *fds);

/* ---- The clock ---- */

/* Wait for MS milliseconds. */
void wait_ms(int64_t ms);

/* ---- Other requests ---- */

enum parker_state { PARKER_EMPTY, PARKER_WAITED, PARKER_POSTED };

/* A binary semaphore: one waits, others post. It may vanish as soon as the waiter
 * returns: the poster does not touch it afterwards. At most one post may be under way at
 * a time. */
struct parker {
    struct fiber *fiber; /* the waiter; NULL: a thread, by SEM */
    _Atomic enum parker_state state;
    sem_t sem;
};

/* Prepare it for the caller to wait on, until parker_release(). A thread without fibers
 * may also hand it to another such thread, to wait there. */
void parker_init(struct parker *parker);

/* No post may follow. */
void parker_release(struct parker *parker);

/* Wake the waiter. Any thread, never blocks; may come before the wait. */
void parker_post(struct parker *parker);

/* Wait for a post and take it. False: the deadline has passed first. Before giving up for
 * good the caller must make sure that no post follows. */
bool parker_wait(struct parker *parker, int64_t deadline_ms) MUST_CHECK;

#endif
