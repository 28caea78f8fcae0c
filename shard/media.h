/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Callers of procedures/media/: which stored files the rows name, and who asks. */
#ifndef DOUSHARD_MEDIA_H
#define DOUSHARD_MEDIA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/call.h"
#include "shard/outcome.h"

struct router;

/* One question of media_find(). */
struct media_query {
    uint64_t author_id;   /* whose files they are; id_is_valid() */
    const char *name;     /* (ref) base name of the files, at most MEDIA_NAME_MAX bytes */
    enum outcome outcome; /* the answer */
};

/* Which of these files does a row name? Asks for N, 1 to OPS_MAX, in one CALL per shard,
 * wherever their authors are by now. Of each query the outcome becomes OK (a video that
 * is not deleted names them, or the profile of the author does), NOTFOUND (no row does:
 * so says the shard that serves the author) or anything else (nobody knows just now).
 * Thread-safe; blocks until CALL's deadline at the latest. */
void media_find(struct router *router, struct call *call, struct media_query *queries,
                size_t n);

/* Take the lease of who looks for files that no row names, or keep it, for LEASE_MS (1 to
 * 600000; 0 gives it back). HOLDER, 1 to 64 ASCII characters, names this process since
 * its start. There is one lease for all servers: on the shard that has slot 0, as the
 * shard itself says; its clock ends it. OK sets *GOT; any other outcome: nobody knows
 * whether it is ours. Thread-safe; blocks until CALL's deadline at the latest. */
enum outcome media_lease_take(struct router *router, struct call *call,
                              const char *holder, int64_t lease_ms, bool *got);

#endif
