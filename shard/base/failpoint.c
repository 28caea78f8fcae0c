/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
#include "shard/base/failpoint.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PLACES_MAX 4

struct place {
    char name[64];   /* NAME:WHEN */
    atomic_int left; /* passes until it stops */
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct place wanted[PLACES_MAX];
static size_t n_wanted;

/* TEXT is of LEN bytes: NAME:WHEN:N. */
static bool read_place(const char *text, size_t len, struct place *place)
{
    const char *n = memrchr(text, ':', len);

    if (n == NULL || (size_t)(n - text) >= sizeof place->name) {
        return false;
    }
    memcpy(place->name, text, (size_t)(n - text));
    atomic_store(&place->left, (int)strtol(n + 1, NULL, 10));
    return true;
}

static void read_variable(void)
{
    const char *text = getenv(FAILPOINT_VARIABLE); // NOLINT(concurrency-mt-unsafe)

    while (text != NULL && n_wanted < PLACES_MAX) {
        size_t len = strcspn(text, ",");
        n_wanted += read_place(text, len, &wanted[n_wanted]);
        text = text[len] == '\0' ? NULL : text + len + 1;
    }
}

void failpoint(const char *name, const char *when)
{
    char here[sizeof wanted[0].name];

    pthread_once(&once, read_variable);
    if (n_wanted == 0) {
        return;
    }
    (void)snprintf(here, sizeof here, "%s:%s", name, when);
    for (size_t i = 0; i < n_wanted; i++) {
        if (strcmp(here, wanted[i].name) == 0 &&
            atomic_fetch_sub(&wanted[i].left, 1) == 1) {
            (void)raise(SIGSTOP);
        }
    }
}
