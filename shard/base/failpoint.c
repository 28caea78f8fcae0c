/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
#include "shard/base/failpoint.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char wanted[64]; /* NAME:WHEN; "": none */
static atomic_int left; /* passes until it stops */

static void read_variable(void)
{
    const char *text = getenv(FAILPOINT_VARIABLE); // NOLINT(concurrency-mt-unsafe)
    const char *n = text == NULL ? NULL : strrchr(text, ':');

    if (n != NULL && (size_t)(n - text) < sizeof wanted) {
        memcpy(wanted, text, (size_t)(n - text));
        atomic_store(&left, (int)strtol(n + 1, NULL, 10));
    }
}

void failpoint(const char *name, const char *when)
{
    char place[sizeof wanted];

    pthread_once(&once, read_variable);
    if (wanted[0] == '\0') {
        return;
    }
    (void)snprintf(place, sizeof place, "%s:%s", name, when);
    if (strcmp(place, wanted) == 0 && atomic_fetch_sub(&left, 1) == 1) {
        (void)raise(SIGSTOP);
    }
}
