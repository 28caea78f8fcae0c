/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The two clocks: monotonic for deadlines and durations, wall for logs and data. */
#ifndef DOUSHARD_BASE_CLOCK_H
#define DOUSHARD_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Milliseconds since some start; never goes back, cannot be set. */
int64_t clock_mono_ms(void);

/* Microseconds on the same clock. */
int64_t clock_mono_us(void);

/* Milliseconds since 1970-01-01 UTC; may be stepped by the administrator. */
int64_t clock_wall_ms(void);

/* The earlier one of two instants, the shorter one of two durations. */
static inline int64_t clock_earlier(int64_t a_ms, int64_t b_ms)
{
    return a_ms < b_ms ? a_ms : b_ms;
}

/* The same instant of the monotonic clock as a timespec, for pthread_cond_clockwait(). */
struct timespec clock_timespec(int64_t mono_ms);

/* The time until then, as a timeout for poll(2) or epoll_wait(2): 0 when it has passed, a
 * minute at most. */
int clock_left_ms(int64_t mono_ms);

#endif
