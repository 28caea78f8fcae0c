/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Random bytes from the kernel, for tokens, keys and operation ids. */
#include "shard/base/rnd.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "shard/base/check.h"

/* Drawn at once, for names. */
#define NAMES_BYTES 512

void rnd_bytes(void *data, size_t len)
{
    char *p = data;

    while (len > 0) {
        ssize_t n = getrandom(p, len, 0);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        CHECK(n > 0);
        p += n;
        len -= (size_t)n;
    }
}

void rnd_name(void *data, size_t len)
{
    static _Thread_local char ahead[NAMES_BYTES];
    static _Thread_local size_t left;

    CHECK(len <= sizeof ahead);
    if (left < len) {
        rnd_bytes(ahead, sizeof ahead);
        left = sizeof ahead;
    }
    left -= len;
    memcpy(data, ahead + left, len);
}

uint32_t rnd_below(uint32_t below)
{
    uint32_t value;

    rnd_bytes(&value, sizeof value);
    return (uint32_t)(((uint64_t)value * below) >> 32);
}
