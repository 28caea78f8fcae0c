/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The yardsticks without HTTP: things that one thread does one after the other. */
#ifndef DOUSHARD_TESTS_BENCH_PROBE_H
#define DOUSHARD_TESTS_BENCH_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/check.h"

#define PROBE_SHARDS_MAX 16

/* What the probes are told; strings are borrowed until probe_end(). */
struct probe_options {
    const char *defaults_file; /* how root gets in; of the bare ones */
    const char *password_file; /* of doushard_app; of the router */
    const char *owners;        /* file with a user id per line; of both reads */
    const char *dir;           /* of the disk */
    struct {
        char name[32];
        const char *socket;
    } shard[PROBE_SHARDS_MAX];
    size_t n_shards;
};

struct probe;

/* Prepare the probe called NAME:
 *   call    CALL user_get() of one user after the other, on a connection to the shard of
 * each, prepared once; Connector/C and nothing else router  the same through the router
 *   write   one row inserted on the first shard, then one on the second, each committed
 *   disk    512 bytes written into a file that has its size, and fdatasync()
 * NULL: WHY (SIZE bytes) says what is missing. One thread uses it. */
struct probe *probe_begin(const char *name, const struct probe_options *options,
                          char *why, size_t size) MUST_CHECK;

/* Do it once. False: it failed, or the answer was wrong. */
bool probe_once(struct probe *probe) MUST_CHECK;

/* *PROBE becomes NULL; NULL is allowed. */
void probe_end(struct probe **probe);

#endif
