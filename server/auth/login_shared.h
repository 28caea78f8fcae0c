/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Failed logins of all servers, in Redis: the counts per hour that each throttle
 * (throttle.h) also keeps for itself, so that the limits hold for all servers together,
 * and which addresses know a password, so that failures of strangers elsewhere do not
 * lock them out.
 *
 *   ds:{l:ACCOUNT}:f          failures at the account (a SHA-256, since names may have
 *                             any byte)
 *   ds:{ADDRESS}:f            failures of the address
 *   ds:{l:ACCOUNT}:k:ADDRESS  the password was once given from this address
 *
 * Redis has 50 ms to answer, otherwise the throttle of this process decides alone. It is
 * always asked first. */
#ifndef DOUSHARD_AUTH_LOGIN_SHARED_H
#define DOUSHARD_AUTH_LOGIN_SHARED_H

#include <stdbool.h>
#include <stdint.h>

#include "shard/base/address.h"
#include "shard/base/check.h"

#include "shard/gcra.h"

#include "server/auth/throttle.h"

struct app;
struct metrics;
struct rcluster;

/* "ds:{l:" 32 digits "}:k:" an address, and the NUL. */
#define LOGIN_KEY_BYTES (48 + ADDRESS_TEXT_BYTES)

/* A try that may be made. Storage is the caller's; no field is for others. */
struct login_shared {
    struct rcluster *redis;  /* (ref) NULL: there is no Redis */
    struct metrics *metrics; /* (ref) */
    char known_key[LOGIN_KEY_BYTES];
    struct login_count {
        char key[LOGIN_KEY_BYTES];
        struct gcra rule;
        bool taken;
    } counts[2];
};

/* Prepare a try, with the Redis of APP, if there is one. */
void login_shared_init(struct login_shared *shared, const struct app *app,
                       const struct throttle_limits *limits,
                       const struct throttle_try *attempt);

/* Was the password of the account ever given from there, to any server? */
bool login_shared_knows(const struct login_shared *shared) MUST_CHECK;

/* Count the try, of a stranger, as a failure. 0: it may be made, and login_shared_leave()
 * is due; else how many milliseconds to wait. */
int64_t login_shared_enter(struct login_shared *shared) MUST_CHECK;

/* As throttle_leave(), whether or not the try was counted here. */
void login_shared_leave(struct login_shared *shared, enum throttle_end end);

#endif
