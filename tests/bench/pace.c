/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* When the requests of an open loop are due. */
#include "tests/bench/pace.h"

#define NS_PER_S 1e9

int64_t pace_due_ns(const struct pace *pace, uint64_t k)
{
    return pace->start_ns + (int64_t)((double)k * NS_PER_S / pace->per_s);
}

uint64_t pace_due_by(const struct pace *pace, int64_t now_ns)
{
    if (now_ns < pace->start_ns) {
        return 0;
    }
    uint64_t k = (uint64_t)((double)(now_ns - pace->start_ns) * pace->per_s / NS_PER_S);
    /* Rounding may be off by one either way; pace_due_ns() decides. */
    while (k > 0 && pace_due_ns(pace, k) > now_ns) {
        k--;
    }
    while (pace_due_ns(pace, k + 1) <= now_ns) {
        k++;
    }
    return k + 1;
}
