/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The load generator: keep-alive HTTP/1.1 connections, one request at a time on each, one
 * epoll loop per thread, every answer judged (answer.h).
 *
 * Closed loop: each connection sends its next request as soon as it has an answer. The
 * figure is the number of answers; latency is what N clients see that never pause. Open
 * loop: requests are due at a fixed rate (pace.h), and are sent on whichever connection
 * is free. Latency counts from when a request was due. A request without an answer 10 s
 * after the end counts as lost, and with the time that it has waited.
 *
 * Time is divided into a warm-up, which is not counted, and windows of equal length. An
 * answer counts in the window in which it arrived; its latency in the window in which the
 * request was due. */
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
    char first_wrong[400]; /* start of the first wrong answer; empty: none */
};

/* Called by load_run(), in its caller's thread, when window I (from 0) begins, and with
 * I = windows when the last one has ended: to read CPU times. */
typedef void load_tick_f(void *context, size_t i);

/* Run SCRIPT with OPTIONS: the warm-up, the windows, and at most 10 s for requests that
 * are still under way. Sets *RESULT, and the states in SCRIPT to those that the answers
 * imply. False: WHY (LOAD_WHY_BYTES) says why it could not start. */
bool load_run(const struct load_options *options, struct script *script,
              load_tick_f *tick, void *context, struct load_result *result,
              char *why) MUST_CHECK;

#endif
