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
    bool is_spawned;             /* that was not submitted */
    struct fiber *next;          /* among the ready ones, or the ones without work */
    struct work waking;          /* on its way through the inbox of its thread */
    char *stack;                 /* owned */
    size_t stack_bytes;

    /* While it waits. */
    struct fiber *later; /* in the list of those of the thread that wait */
    struct fiber **link; /* what points to this one there; NULL: it does not wait */
    int64_t deadline_ms;
    struct parker *parker; /* (ref) that it waits for; NULL: none */
    bool waits_fds;        /* a file descriptor ends the wait */
    bool is_late;          /* the deadline ended it */
};

/* The fiber that runs on this thread; NULL: the thread runs none. */
struct fiber *fiber_current(void);

/* Let the others run until FIBER, the current one, is woken. False: by its deadline. */
bool fiber_block(struct fiber *fiber, int64_t deadline_ms);

/* Wake FIBER: what it waits for has happened, and nobody else will say so. Any thread. */
void fiber_wake(struct fiber *fiber);

/* Where FIBER's thread waits for file descriptors. The data of an event is the struct
 * wait_fd, which must stay until the event came or was given up. */
int fiber_epoll_fd(const struct fiber *fiber);

#endif
