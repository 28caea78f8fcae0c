/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Ends the process if it does not end by itself, because a thread that must be joined
 * waits for something that hangs, such as a disk. */
#ifndef DOUSHARD_WATCHDOG_H
#define DOUSHARD_WATCHDOG_H

#include <stdint.h>

struct watchdog;

/* At DEADLINE_MS (monotonic) log a line and _exit(STATUS). NULL: no memory or no thread,
 * which has been logged; the process is then not watched. */
struct watchdog *watchdog_new(int64_t deadline_ms, int status);

/* The process ends by itself. NULL is allowed. *WATCHDOG becomes NULL. */
void watchdog_free(struct watchdog **watchdog);

#endif
