/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Callers of procedures/media/: which stored files have rows, and the lease of the
 * search. */
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

/* Which of these files have rows? Asks about N, 1 to OPS_MAX, in one CALL per shard,
 * wherever their authors are by now. The outcome of each query becomes OK (a video that
 * is not deleted, or the author's profile, names them), NOTFOUND (the shard that serves
 * the author says that no row does) or anything else (not known at the moment).
 * Thread-safe; blocks until CALL's deadline at the latest. */
void media_find(struct router *router, struct call *call, struct media_query *queries,
                size_t n);

/* Take or prolong, for LEASE_MS (1 to 600000; 0 gives it back), the lease for searching
 * files without rows. HOLDER, 1 to 64 ASCII characters, names this process since its
 * start. There is one lease for all servers, on the shard that has slot 0; that shard's
 * clock ends it. OK sets *GOT; with any other outcome it is unknown whether the lease is
 * ours. Thread-safe; blocks until CALL's deadline at the latest. */
enum outcome media_lease_take(struct router *router, struct call *call,
                              const char *holder, int64_t lease_ms, bool *got);

#endif
