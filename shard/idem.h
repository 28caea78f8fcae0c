/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Callers of the procedures in procedures/idem/: keys that clients give to requests. */
#ifndef DOUSHARD_IDEM_H
#define DOUSHARD_IDEM_H

#include <stddef.h>
#include <stdint.h>

#include "shard/call.h"
#include "shard/outcome.h"

struct router;

/* SHA-256 of a request's contents. */
#define IDEM_BODY_BYTES 32

/* Claim the key OP for a request with that BODY. OK: it is new, or was last used more
 * than a day ago. SAME: the same request came before. MISMATCH: the key was used for
 * another request. OK and SAME set *CREATED_AT_MS to the time of the first use (since the
 * Unix epoch), which is the same for all repeats of a request. */
enum outcome idem_claim(struct router *router, struct call *call,
                        const unsigned char op[OP_BYTES],
                        const unsigned char body[IDEM_BODY_BYTES],
                        int64_t *created_at_ms);

#endif
