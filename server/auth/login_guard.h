/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The check before every comparison of a password: the throttle, under the options in
 * force, for the client of a request.
 *
 * What it answers depends on what was tried and from where, never on whether the account
 * exists. */
#ifndef DOUSHARD_AUTH_LOGIN_GUARD_H
#define DOUSHARD_AUTH_LOGIN_GUARD_H

#include <stdbool.h>
#include <stdint.h>

#include "shard/base/check.h"

#include "server/auth/login_shared.h"
#include "server/auth/password.h"
#include "server/auth/throttle.h"

struct request;

/* A comparison that may be made. Storage is the caller's. */
struct login_guard {
    struct request *req; /* (ref) */
    struct throttle_pass pass;
    struct login_shared shared;
};

/* May the password of the user NAME, or of the user USER_ID, be compared for REQ? True:
 * login_guard_leave() is due. False: REQ has been answered. */
bool login_guard_name(struct login_guard *guard, struct request *req,
                      const char *name) MUST_CHECK;
bool login_guard_id(struct login_guard *guard, struct request *req,
                    uint64_t user_id) MUST_CHECK;

/* How it ended; all but PASSWORD_OK and PASSWORD_WRONG mean that the password was not
 * compared. */
void login_guard_leave(struct login_guard *guard, enum password_status status);

/* The user NAME was made for REQ: from there its password is known. */
void login_guard_know(const struct request *req, const char *name);

#endif
