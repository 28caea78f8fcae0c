/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The operation id of a write that a client may repeat under an Idempotency-Key. */
#ifndef DOUSHARD_REQUEST_CLAIM_H
#define DOUSHARD_REQUEST_CLAIM_H

#include <stdbool.h>

#include "shard/base/check.h"

#include "shard/call.h"

struct request;

/* Set OP to the op of this request's write. It is random unless the client gave a key.
 * The key is claimed for this request's route, parameters as sent (without token and
 * passwords) and file. All requests that repeat it within a day get the same op, later
 * ones another. False: the request has been answered, because the key names another
 * request or its shard does not answer. One CALL with a key, none without. */
bool claim_op(struct request *req, unsigned char op[OP_BYTES]) MUST_CHECK;

/* Is KEY valid: 1 to REQUEST_KEY_MAX visible ASCII characters? */
bool claim_is_key(const char *key) MUST_CHECK;

#endif
