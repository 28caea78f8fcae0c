/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Everything that a request may wait for: file descriptors, other requests, the clock. */
#include "shard/base/wait.h"

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <time.h>

#include "shard/base/clock.h"
#include "shard/base/fiber_impl.h"

/* The bits are the same on Linux, so events need no translation. */
_Static_assert(POLLIN == EPOLLIN && POLLOUT == EPOLLOUT && POLLPRI == EPOLLPRI &&
                   POLLERR == EPOLLERR && POLLHUP == EPOLLHUP,
               "poll(2) and epoll(7) have bits of their own");

/* ---- File descriptors ---- */

static bool poll_fds(struct wait_fd *fds, int timeout_ms)
{
    struct pollfd list[WAIT_FDS_MAX];
    nfds_t n = 0;

    for (const struct wait_fd *w = fds; w != NULL; w = w->next) {
        CHECK(n < WAIT_FDS_MAX);
        list[n++] = (struct pollfd){.fd = w->fd, .events = w->events};
    }
    bool is_ready = poll(list, n, timeout_ms) > 0;
    n = 0;
    for (struct wait_fd *w = fds; w != NULL; w = w->next) {
        w->revents = is_ready ? list[n].revents : 0;
        n++;
    }
    return is_ready;
}

/* On a thread. */
static bool poll_until(struct wait_fd *fds, int64_t deadline_ms)
{
    int timeout_ms = clock_left_ms(deadline_ms);

    return poll_fds(fds, timeout_ms) || timeout_ms > 0;
}

/* Have FIBER's thread watch W, for one event; if the thread knows the file descriptor
 * from an earlier wait, this takes one system call. */
static bool arm(const struct fiber *fiber, struct wait_fd *w)
{
    struct epoll_event event = {.events = (uint32_t)w->events | EPOLLONESHOT,
                                .data.ptr = w};
    int epoll_fd = fiber_epoll_fd(fiber);

    return epoll_ctl(epoll_fd, EPOLL_CTL_MOD, w->fd, &event) == 0 ||
           (errno == ENOENT && epoll_ctl(epoll_fd, EPOLL_CTL_ADD, w->fd, &event) == 0);
}

static bool arm_all(struct fiber *fiber, struct wait_fd *fds)
{
    bool is_good = true;

    for (struct wait_fd *w = fds; w != NULL; w = w->next) {
        if (!w->is_armed) {
            w->fiber = fiber;
            w->revents = 0;
            w->is_armed = arm(fiber, w);
            is_good = is_good && w->is_armed;
        }
    }
    return is_good;
}

/* Epoll refuses one of FDS: it is closed, or there is no memory. Poll once a
 * millisecond. */
static bool poll_by_clock(struct wait_fd *fds, int64_t deadline_ms)
{
    bool is_late = clock_left_ms(deadline_ms) == 0;

    wait_ms(1);
    return poll_fds(fds, 0) || !is_late;
}

bool wait_fds(struct wait_fd *fds, int64_t deadline_ms)
{
    struct fiber *fiber = fiber_current();

    if (fiber == NULL) {
        return poll_until(fds, deadline_ms);
    }
    if (!arm_all(fiber, fds)) {
        return poll_by_clock(fds, deadline_ms);
    }
    fiber->waits_fds = true;
    bool has_happened = fiber_block(fiber, deadline_ms);
    fiber->waits_fds = false;
    return has_happened;
}

void wait_fds_end(struct wait_fd *fds)
{
    for (struct wait_fd *w = fds; w != NULL; w = w->next) {
        if (w->is_armed) {
            (void)epoll_ctl(fiber_epoll_fd(w->fiber), EPOLL_CTL_DEL, w->fd, NULL);
            w->is_armed = false;
        }
    }
}

/* ---- The clock ---- */

void wait_ms(int64_t ms)
{
    struct fiber *fiber = fiber_current();

    if (fiber == NULL) {
        const struct timespec pause = {.tv_sec = ms / 1000,
                                       .tv_nsec = ms % 1000 * 1000000};
        (void)nanosleep(&pause, NULL);
    } else {
        (void)fiber_block(fiber, clock_mono_ms() + ms);
    }
}

/* ---- Other requests ---- */

void parker_init(struct parker *parker)
{
    parker->fiber = fiber_current();
    atomic_init(&parker->state, PARKER_EMPTY);
    if (parker->fiber == NULL) {
        CHECK(sem_init(&parker->sem, 0, 0) == 0);
    }
}

void parker_release(struct parker *parker)
{
    if (parker->fiber == NULL) {
        (void)sem_destroy(&parker->sem);
    }
}

/* After the exchange a fiber that was not waiting yet may be gone, and the parker with
 * it; one that was waiting waits until it is woken, and a thread until sem_post(). */
void parker_post(struct parker *parker)
{
    struct fiber *fiber = parker->fiber;
    enum parker_state state = atomic_exchange(&parker->state, PARKER_POSTED);

    if (fiber == NULL) {
        (void)sem_post(&parker->sem);
    } else if (state == PARKER_WAITED) {
        fiber_wake(fiber);
    }
}

/* On a thread. The thread sanitizer does not know sem_clockwait(), but it knows atomic
 * exchanges. */
static bool sem_wait_until(struct parker *parker, int64_t deadline_ms)
{
    const struct timespec until =
        clock_timespec(deadline_ms == WAIT_FOR_EVER ? 0 : deadline_ms);
    int rc;

    do {
        rc = deadline_ms == WAIT_FOR_EVER
                 ? sem_wait(&parker->sem)
                 : sem_clockwait(&parker->sem, CLOCK_MONOTONIC, &until);
    } while (rc != 0 && errno == EINTR);
    return rc == 0 && atomic_exchange(&parker->state, PARKER_EMPTY) == PARKER_POSTED;
}

/* When the deadline passes the parker becomes empty again, unless it has been posted by
 * then: see claim() in fiber.c. */
bool parker_wait(struct parker *parker, int64_t deadline_ms)
{
    enum parker_state state = PARKER_EMPTY;
    struct fiber *fiber = parker->fiber;

    if (fiber == NULL) {
        return sem_wait_until(parker, deadline_ms);
    }
    CHECK(fiber == fiber_current());
    if (atomic_compare_exchange_strong(&parker->state, &state, PARKER_WAITED)) {
        fiber->parker = parker;
        bool is_posted = fiber_block(fiber, deadline_ms);
        fiber->parker = NULL;
        if (!is_posted) {
            return false;
        }
    }
    atomic_store(&parker->state, PARKER_EMPTY);
    return true;
}
