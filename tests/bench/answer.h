/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Checks that bytes from a connection are a complete HTTP/1.1 answer, and the right one.
 * A load test that counts wrong answers measures how fast a service fails. Pure; any
 * thread. */
#ifndef DOUSHARD_TESTS_BENCH_ANSWER_H
#define DOUSHARD_TESTS_BENCH_ANSWER_H

#include <stdbool.h>
#include <stddef.h>

#include "shard/base/check.h"

/* What every answer of a run must be. Strings are borrowed. */
struct expectation {
    /* The whole body; NULL: a JSON object whose first member is "status_code". */
    const char *body;
    /* A member of the JSON object that must be an array of at least ARRAY_MIN elements.
     * NULL: not checked. */
    const char *array;
    size_t array_min;
};

enum verdict {
    ANSWER_PART,    /* incomplete so far */
    ANSWER_RIGHT,   /* HTTP 200, status_code 0, nothing missing */
    ANSWER_REFUSED, /* HTTP 200 and a status_code that means: try later */
    ANSWER_WRONG    /* anything else */
};

/* Judge the LEN bytes that were received since the last request; BYTES is NUL-terminated.
 * DEEPLY: parse the whole JSON instead of looking at its beginning and end only, and
 * count the elements of the array. Bytes after the answer make it wrong, since only one
 * request was sent. *CLOSES (the server will close the connection) is set unless the
 * verdict is ANSWER_PART; *STATUS_CODE is set if it is ANSWER_REFUSED. */
enum verdict answer_judge(const struct expectation *wanted, const char *bytes, size_t len,
                          bool deeply, bool *closes, int *status_code) MUST_CHECK;

#endif
