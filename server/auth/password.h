/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Password hashes: scrypt, in a form that includes its parameters, computed by a limited
 * number of threads.
 *
 * A hash is text: $scrypt$ln=15,r=8,p=3$SALT$KEY, salt and key in unpadded base64. */
#ifndef DOUSHARD_AUTH_PASSWORD_H
#define DOUSHARD_AUTH_PASSWORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/check.h"

#define PASSWORD_BYTES_MAX 128 /* of a password: 32 code points */
#define PASSWORD_HASH_MAX  160 /* of a hash, without the NUL */

/* What one hash costs: 128 * r * 2^ln bytes of memory, p passes over them. */
struct password_params {
    unsigned ln; /* 1 .. 20: N = 2^ln */
    unsigned r;  /* 1 .. 32 */
    unsigned p;  /* 1 .. 16 */
};

enum password_status {
    PASSWORD_OK,
    PASSWORD_WRONG, /* password_verify(): it is another password */
    PASSWORD_BUSY,  /* too many wait, or the deadline came first; nothing was computed */
    PASSWORD_FAILED /* an invalid stored hash, parameters out of range, no memory */
};

struct metrics;
struct password;

/* True when scrypt is defined for these (N < 2^(16 r)) and they are in range. Pure. */
bool password_params_are_valid(const struct password_params *params) MUST_CHECK;

/* CONCURRENCY (> 0) threads of lower priority hash, and QUEUE_MAX callers may wait for
 * them, in order. METRICS (ref, may be NULL) counts hashes and refusals. NULL: no memory
 * or threads. The functions below are thread-safe. */
struct password *password_new(unsigned concurrency, unsigned queue_max,
                              struct metrics *metrics) MUST_CHECK;

/* No caller may be hashing. *PASSWORD becomes NULL; NULL is allowed. */
void password_free(struct password **password);

/* Hash LEN bytes of TEXT with a new salt into HASH (PASSWORD_HASH_MAX + 1 bytes). Blocks
 * until DEADLINE_MS (monotonic) for its turn, then as long as the hash takes. Every byte
 * counts. A text with a NUL, or longer than PASSWORD_BYTES_MAX, fails instead of being
 * cut. */
enum password_status password_hash(struct password *password,
                                   const struct password_params *params, const char *text,
                                   size_t len, int64_t deadline_ms,
                                   char *hash) MUST_CHECK;

/* Is TEXT the password of HASH? One scrypt with the parameters that HASH names. Blocks as
 * password_hash(). */
enum password_status password_verify(struct password *password, const char *hash,
                                     const char *text, size_t len,
                                     int64_t deadline_ms) MUST_CHECK;

/* Take as long as password_verify() for a hash with PARAMS, for a user who does not
 * exist, so that timing reveals nothing. Never PASSWORD_OK. */
enum password_status password_verify_dummy(struct password *password,
                                           const struct password_params *params,
                                           const char *text, size_t len,
                                           int64_t deadline_ms) MUST_CHECK;

/* Should HASH be replaced when its password is next at hand: is it weaker than PARAMS in
 * any of the three? Lowered parameters do not count, so that two servers with different
 * options do not undo each other's work. False for a text that is not a hash. Pure. */
bool password_needs_rehash(const char *hash, const struct password_params *params);

/* How many hashes were begun since password_new(). */
uint64_t password_hashes_total(const struct password *password);

#endif
