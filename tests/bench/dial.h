/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A connection to a service on this machine. */
#ifndef DOUSHARD_TESTS_BENCH_DIAL_H
#define DOUSHARD_TESTS_BENCH_DIAL_H

#include <stdint.h>

#include "shard/base/check.h"

/* Connect to PORT of 127.0.0.1 within 5 s. Returns a non-blocking socket with
 * TCP_NODELAY, which the caller closes; -1: nothing accepts the connection. Any thread.
 */
int dial(uint16_t port) MUST_CHECK;

#endif
