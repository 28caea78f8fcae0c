/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What a mover asks of a shard in plain SQL, because no routine can do it: to change the
 * partitions of a table, and what only operators know how to ask. */
#ifndef DOUSHARD_MOVE_QUERY_H
#define DOUSHARD_MOVE_QUERY_H

#include <stdbool.h>
#include <stdint.h>

#include "shard/base/check.h"

#include "shard/move_link.h"

/* Run TEXT, a statement that answers no rows, on the open connection of LINK, for
 * LINK_CALL_MS at most. 0: it is done; else the number of the error, 2000 and up for
 * those of the client, of which one is that it takes too long. LINK->why then says more.
 * After one of the client the connection is good for nothing but closing. */
unsigned query_run(struct move_link *link, const char *text) MUST_CHECK;

/* *NUMBER is what TEXT answers, in the first column of its first row: on a connection of
 * its own to the shard of LINK, for LIMIT_MS at most once that is open. False: there is
 * none, and LINK->why says why. */
bool query_number(struct move_link *link, const char *text, int limit_ms,
                  int64_t *number) MUST_CHECK;

#endif
