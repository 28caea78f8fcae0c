/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The two clocks: monotonic for deadlines and durations, wall for logs and data. */
#include "shard/base/clock.h"

static int64_t read_us(clockid_t id)
{
    struct timespec now;

    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t clock_mono_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

int64_t clock_mono_ms(void)
{
    return read_us(CLOCK_MONOTONIC) / 1000;
}

int64_t clock_wall_ms(void)
{
    return read_us(CLOCK_REALTIME) / 1000;
}

struct timespec clock_timespec(int64_t mono_ms)
{
    return (struct timespec){.tv_sec = mono_ms / 1000,
                             .tv_nsec = (long)(mono_ms % 1000) * 1000000};
}

int clock_left_ms(int64_t mono_ms)
{
    int64_t left = mono_ms - clock_mono_ms();

    return left <= 0 ? 0 : left > 60000 ? 60000 : (int)left;
}
