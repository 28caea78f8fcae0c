/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Idle connections, to measure what they cost the service. */
#ifndef DOUSHARD_TESTS_BENCH_HOLD_H
#define DOUSHARD_TESTS_BENCH_HOLD_H

#include "shard/base/check.h"

#include "tests/bench/load.h"

/* Open the connections of OPTIONS, send REQUESTS requests of SCRIPT on each, print a
 * line, and keep the connections until standard input ends. Returns the exit status: 1 if
 * a connection could not be opened or an answer was wrong. */
int hold(const struct load_options *options, struct script *script,
         long requests) MUST_CHECK;

#endif
