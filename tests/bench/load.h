/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The load generator: keep-alive HTTP/1.1 connections, one request at a time on each, one
 * epoll loop per thread, every answer judged (answer.h).
 *
 * Closed loop: each connection sends its next request as soon as it has an answer. The
 * figure is how many answers come; latency is what N clients who never pause see. Open
 * loop: requests are due at a fixed rate (pace.h) on whichever connection is free.
 * Latency is counted from when they were due. What was due and has no answer 10 s after
 * the end is counted with that age and as lost.
 *
 * Time is cut into a warm-up, which counts nothing, and windows of equal length. An
 * answer is counted in the window in which it came; its latency in the one in which it
 * was due. */
#ifndef DOUSHARD_TESTS_BENCH_LOAD_H
#define DOUSHARD_TESTS_BENCH_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/check.h"

#include "tests/bench/answer.h"
#include "tests/bench/hist.h"
#include "tests/bench/script.h"

#define LOAD_THREADS_MAX     2
#define LOAD_WINDOWS_MAX     64
#define LOAD_CONNECTIONS_MAX 20000
#define LOAD_WHY_BYTES       256 /* with the NUL */

struct load_options {
    uint16_t port; /* on 127.0.0.1 */
    size_t connections, threads;
    double per_s; /* requests of the open loop; 0: closed loop */
    int64_t warm_up_ns, window_ns;
    size_t windows;
    struct expectation wanted;
};

struct window {
    struct hist latency;
    uint64_t answered; /* and right */
    uint64_t changed; /* of these, those that changed a row, as far as the script knows */
    uint64_t refused; /* busy, unavailable, outcome unknown */
    uint64_t bytes;   /* received */
};

struct load_result {
    struct window window[LOAD_WINDOWS_MAX];
    /* Of the whole run, the warm-up included. */
    uint64_t right, changed, refused, wrong, lost, reconnects;
    int refusal;           /* a status_code that was seen, when refused > 0 */
    char first_wrong[400]; /* beginning of an answer that was wrong; empty: none */
};

/* Called by load_run() in its own thread when window I (from 0) begins, and with I =
 * windows when the last one has ended: for readings of CPU time. */
typedef void load_tick_f(void *context, size_t i);

/* Run SCRIPT as OPTIONS say; *RESULT is set when it is over, after warm-up, windows and
 * at most 10 s for what is still under way. The states in SCRIPT are as the service left
 * them. False: WHY (LOAD_WHY_BYTES) says what could not be begun. */
bool load_run(const struct load_options *options, struct script *script,
              load_tick_f *tick, void *context, struct load_result *result,
              char *why) MUST_CHECK;

#endif
