/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Everything that a request may wait for: file descriptors, the others, the clock.
 *
 * On a fiber the thread goes on with other fibers meanwhile; on a thread that runs none
 * it sleeps, in poll(2), on a semaphore or in nanosleep(2). Which of the two is seen from
 * the thread, so that callers need not know. Deadlines are on the monotonic clock; one in
 * the past means to look and not to wait.
 *
 * Nobody may hold a mutex while waiting here.
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

/* One that is waited for. The caller sets the first group, all else to 0; it must stay
 * where it is until wait_fds_end() or until something has happened to it. */
struct wait_fd {
    int fd;
    short events; /* as of poll(2) */
    struct wait_fd *next;

    short revents; /* as of poll(2); valid after wait_fds() */

    /* Of wait.c and fiber.c. */
    struct fiber *fiber;
    bool is_armed; /* epoll knows it, and nothing has happened to it yet */
};

/* Wait until something has happened to one of FDS. False: nothing has, and the deadline
 * has passed. True may mean, too, that it is time to call again. A file descriptor that
 * is closed already has POLLNVAL. What nothing has happened to stays armed, for the next
 * call with it: it must not be closed before wait_fds_end(). */
bool wait_fds(struct wait_fd *fds, int64_t deadline_ms) MUST_CHECK;

/* Nobody waits for FDS any more. Needs not be called for those that something has
 * happened to. */
void wait_fds_end(struct wait_fd *fds);

/* ---- The clock ---- */

/* Wait for MS milliseconds. */
void wait_ms(int64_t ms);

/* ---- The others ---- */

enum parker_state { PARKER_EMPTY, PARKER_WAITED, PARKER_POSTED };

/* Where one waits for news and others post them: a binary semaphore. It may vanish as
 * soon as who waits has the news: who posts does not look at it again. At most one post
 * may be on its way at a time. */
struct parker {
    struct fiber *fiber; /* who waits; NULL: a thread, by SEM */
    _Atomic enum parker_state state;
    sem_t sem;
};

/* For the caller to wait at. parker_release() ends it. */
void parker_init(struct parker *parker);

/* Nobody may post any more. */
void parker_release(struct parker *parker);

/* There are news. Any thread, never blocks; also before anybody waits. */
void parker_post(struct parker *parker);

/* Take the news; wait for them. False: the deadline has passed without. Whoever stops
 * waiting for good then must first make sure that nobody posts any more. */
bool parker_wait(struct parker *parker, int64_t deadline_ms) MUST_CHECK;

#endif
