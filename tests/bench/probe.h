/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The yardsticks without HTTP: operations that one thread repeats. */
#ifndef DOUSHARD_TESTS_BENCH_PROBE_H
#define DOUSHARD_TESTS_BENCH_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/check.h"

#define PROBE_SHARDS_MAX 16

/* Options of the probes; strings are borrowed until probe_end(). */
struct probe_options {
    const char *defaults_file; /* with which root logs in; call, write */
    const char *password_file; /* of doushard_app; call, router */
    const char *owners;        /* file with a user id per line; call, router */
    const char *dir;           /* to write in; disk */
    struct {
        char name[32];
        const char *socket;
    } shard[PROBE_SHARDS_MAX];
    size_t n_shards;
};

struct probe;

/* Prepare the probe called NAME:
 *
 *   call    CALL user_get() for one user after the other, as a prepared statement on a
 *           connection to the user's shard, by Connector/C alone
 *   router  the same through the router
 *   write   one row inserted on the first shard, then one on the second, each committed
 *   disk    512 bytes written to a file of fixed size, and fdatasync()
 *
 * NULL: WHY (SIZE bytes) says what is missing. One thread uses it. */
struct probe *probe_begin(const char *name, const struct probe_options *options,
                          char *why, size_t size) MUST_CHECK;

/* Run the probe once. False: it failed, or its answer was wrong. */
bool probe_once(struct probe *probe) MUST_CHECK;

/* *PROBE becomes NULL; NULL is allowed. */
void probe_end(struct probe **probe);

#endif
