/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* How often wrong passwords may be tried: by one address at one account, at one account
 * by all addresses together, and by one address at all accounts.
 *
 *   throttle_enter() --+--> may try: counted as a failure at once, so that many at the
 *                      |    same time do not get around it --> throttle_leave(): right,
 *                      |    wrong, or not compared (taken back)
 *                      +--> not now: how long to wait
 *
 * One address at one account: some tries are free, each further one must wait twice as
 * long as the one before. The two others are counts per hour. They do not apply to an
 * address with an earlier successful login to that account, so that strangers cannot lock
 * its owner out.
 *
 * The counts are this process's own (login_shared.h has those of all), in a table of
 * fixed size: when it is full, those that changed longest ago are forgotten. */
#ifndef DOUSHARD_AUTH_THROTTLE_H
#define DOUSHARD_AUTH_THROTTLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/address.h"
#include "shard/base/check.h"

struct throttle;

/* The options in force; 0 is no limit, except for wait_max_ms. */
struct throttle_limits {
    unsigned tries;       /* free ones of an address at an account */
    int64_t wait_max_ms;  /* the longest wait of an address at an account; > 0 */
    unsigned account_max; /* per hour and account */
    unsigned address_max; /* per hour and address */
};

/* How an account is named; a name and an id never count as the same account. */
enum throttle_kind { THROTTLE_NAME, THROTTLE_ID };

/* Who tries what. The account is borrowed for the call; it need not exist. */
struct throttle_try {
    enum throttle_kind kind;
    const void *account;
    size_t account_len;
    struct address address;
};

/* How a try ended. */
enum throttle_end {
    THROTTLE_RIGHT,
    THROTTLE_WRONG,
    THROTTLE_UNKNOWN /* the password was not compared */
};

/* A try that may be made. Storage is the caller's; no field is for others. */
struct throttle_pass {
    uint64_t tags[3];
    bool charged[3];         /* which counts per hour have it */
    int64_t account_step_ms; /* what the try took from each count per hour */
    int64_t address_step_ms;
    int64_t old_until_ms; /* of the address at the account, before and with this try */
    int64_t new_until_ms;
};

/* NULL: no memory. The functions below are thread-safe. */
struct throttle *throttle_new(void) MUST_CHECK;

/* *THROTTLE becomes NULL; NULL is allowed. */
void throttle_free(struct throttle **throttle);

/* May this be tried at NOW_MS (monotonic)? 0: yes, and throttle_leave() is due, once.
 * Else the milliseconds to wait, as far as is known now; *PASS must not be used. */
int64_t throttle_enter(struct throttle *throttle, const struct throttle_limits *limits,
                       const struct throttle_try *attempt, int64_t now_ms,
                       struct throttle_pass *pass) MUST_CHECK;

/* Was the try counted per hour, as those of strangers are? */
bool throttle_is_stranger(const struct throttle_pass *pass);

void throttle_leave(struct throttle *throttle, const struct throttle_pass *pass,
                    enum throttle_end end, int64_t now_ms);

/* Has this address ever logged in to that account? */
bool throttle_knows(struct throttle *throttle, const struct throttle_try *attempt,
                    int64_t now_ms) MUST_CHECK;

/* The password of this account was given from this address just now, as with
 * THROTTLE_RIGHT: the account was made. */
void throttle_know(struct throttle *throttle, const struct throttle_try *attempt,
                   int64_t now_ms);

#endif
