/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The operation id of a write that a client may repeat under an Idempotency-Key. */
#ifndef DOUSHARD_CLAIM_H
#define DOUSHARD_CLAIM_H

#include <stdbool.h>

#include "shard/base/check.h"

#include "shard/call.h"

struct request;

/* Set OP by request_op(). When the client gave a key, claim it for what this request asks
 * for: route, parameters (but token and passwords) and file. False: answered, because the
 * key names another request or its shard does not answer. One CALL with a key, none
 * without. */
bool claim_op(struct request *req, unsigned char op[OP_BYTES]) MUST_CHECK;

#endif
