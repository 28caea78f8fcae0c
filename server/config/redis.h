/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The Redis Cluster that the options name. */
#ifndef DOUSHARD_CONFIG_REDIS_H
#define DOUSHARD_CONFIG_REDIS_H

#include <stdbool.h>
#include <stddef.h>

#include "shard/base/check.h"

/* How long a request waits for a count that is in Redis. */
#define REDIS_WAIT_MS 50

struct config;
struct errmsg;
struct rcluster;
struct rcluster_options;

/* Is LIST "HOST:PORT, HOST:PORT ..", HOST a name or an address (IPv6 in brackets)? "" is
 * a list of none. */
bool redis_nodes_are_valid(const char *list) MUST_CHECK;

/* Start the client of the nodes in LIST, with OPTIONS for all else. *CLUSTER is NULL when
 * there are none in it. False: ERR says what is wrong. */
bool redis_connect(const char *list, const struct rcluster_options *options,
                   struct rcluster **cluster, struct errmsg *err) MUST_CHECK;

/* The same with the options in CONFIG. *CLUSTER is NULL when they name no nodes; nodes
 * that do not answer are not an error. False: ERR says what is wrong. */
bool redis_start(const struct config *config, struct rcluster **cluster,
                 struct errmsg *err) MUST_CHECK;

#endif
