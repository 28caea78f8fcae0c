/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Inside a fiber: shared by fiber.c and wait.c only. */
#ifndef DOUSHARD_BASE_FIBER_IMPL_H
#define DOUSHARD_BASE_FIBER_IMPL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/fiber.h"
#include "shard/base/fiber_switch.h"

/* All but WAKING belongs to its thread. */
struct fiber {
    struct fiber_context context;
    struct fiber_thread *thread; /* (ref) */
    struct work *work;           /* what it runs */
    bool is_spawned;             /* its work came by fiber_spawn() */
    struct fiber *next;          /* among the ready ones, or the ones without work */
    struct work waking;          /* its entry in the inbox of its thread */
    char *stack;                 /* owned */
    size_t stack_bytes;

    /* While it waits. */
    struct fiber *later; /* in the thread's list of waiting fibers */
    struct fiber **link; /* the pointer to this one there; NULL: it does not wait */
    int64_t deadline_ms;
    struct parker *parker; /* (ref) that it waits for; NULL: none */
    bool waits_fds;        /* a file descriptor ends the wait */
    bool is_late;          /* the deadline ended it */
};

/* The fiber that runs on this thread; NULL: the thread runs none. */
struct fiber *fiber_current(void);

/* Let other fibers run until FIBER, the current one, is woken. False: woken by its
 * deadline. */
bool fiber_block(struct fiber *fiber, int64_t deadline_ms);

/* Wake FIBER, since what it waits for has happened; called once, by any thread. */
void fiber_wake(struct fiber *fiber);

/* Where FIBER's thread waits for file descriptors. The data of an event is its struct
 * wait_fd, which must stay valid until the event has come or was given up. */
int fiber_epoll_fd(const struct fiber *fiber);

#endif
