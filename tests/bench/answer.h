/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Whether bytes from a connection are a whole HTTP/1.1 answer, and whether it is the
 * right one. A load that counts wrong answers measures how fast a service fails. Pure;
 * any thread. */
#ifndef DOUSHARD_TESTS_BENCH_ANSWER_H
#define DOUSHARD_TESTS_BENCH_ANSWER_H

#include <stdbool.h>
#include <stddef.h>

#include "shard/base/check.h"

/* What every answer of a run must be. Strings are borrowed. */
struct expectation {
    /* The whole body; NULL: a JSON object whose first member is "status_code". */
    const char *body;
    /* Of a JSON object: a member that is an array with at least so many elements. NULL:
     * none. */
    const char *array;
    size_t array_min;
};

enum verdict {
    ANSWER_PART,    /* not all of it has come */
    ANSWER_RIGHT,   /* HTTP 200, status_code 0, nothing missing */
    ANSWER_REFUSED, /* HTTP 200 and a status_code that says: not now */
    ANSWER_WRONG    /* anything else */
};

/* Judge the LEN bytes that a connection has brought since the last request; BYTES is
 * NUL-terminated. DEEPLY: read the JSON whole instead of looking at its ends, and count
 * the array. Bytes behind the answer make it wrong, since one request was sent. A verdict
 * that is not ANSWER_PART sets *CLOSES (the server will close the connection),
 * ANSWER_REFUSED sets *STATUS_CODE. */
enum verdict answer_judge(const struct expectation *wanted, const char *bytes, size_t len,
                          bool deeply, bool *closes, int *status_code) MUST_CHECK;

#endif
