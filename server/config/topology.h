/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The topology file: the database servers, each with its name, address and settings.
 * Which shard owns which slot is not in it: the shards know that themselves. */
#ifndef DOUSHARD_CONFIG_TOPOLOGY_H
#define DOUSHARD_CONFIG_TOPOLOGY_H

#include <stdbool.h>
#include <stddef.h>

#include "shard/base/check.h"

#include "shard/router.h"

#include "server/config/config.h"

/* Most servers of one topology. */
#define TOPOLOGY_SERVERS_MAX ROUTER_SHARDS_MAX

/* Owned by the caller; fill with topology_read(), end with topology_release(). Immutable
 * in between. */
struct topology {
    struct router_server *servers; /* owned, with its texts; NULL when empty */
    size_t n_servers;
};

/* Read FILE into *TOPOLOGY, which need not be initialised. False: *ERR says what is wrong
 * and on which line, *TOPOLOGY is empty. */
bool topology_read(struct topology *topology, const char *file,
                   struct errmsg *err) MUST_CHECK;

void topology_release(struct topology *topology);

#endif
