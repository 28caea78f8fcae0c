/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What the commands of shardctl share: options, the way to the shards and to Redis,
 * messages. */
#ifndef DOUSHARD_SCRIPTS_SHARDCTL_H
#define DOUSHARD_SCRIPTS_SHARDCTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/check.h"

struct rcluster;
struct router;
struct topology;

/* A look at the shards, one CALL, and what one page may take. */
#define SHARDCTL_CONNECT_MS 2000
#define SHARDCTL_CALL_MS    30000
#define SHARDCTL_PAGE_BYTES ((size_t)64 << 20)

/* A page is tried so often before the command gives up. */
#define SHARDCTL_TRIES_MAX 5

/* Progress is reported this often. */
#define SHARDCTL_REPORT_EVERY_MS 2000

/* As given, NULL: not at all. */
struct shardctl_options {
    const char *topology;
    const char *user;
    const char *password_file;
    const char *db_name;
    const char *tls_ca;
    const char *shard;      /* audit, call */
    const char *checkpoint; /* audit */
    bool is_json;           /* audit, cache */
    const char *output;     /* export */
    const char *redis_nodes, *redis_user, *redis_password_file, *redis_tls_ca; /* cache */
    const char *operand; /* export, cache: the id; call: the statement */
};

struct shardctl {
    struct shardctl_options options;
    const struct topology *topology; /* (ref) */
    const char *password;            /* (ref) */
    struct router *router;           /* (ref) NULL: the command needs none */
    const char *demo; /* (ref) directory of the cluster, if it is a demo's; else NULL */
};

/* Say on standard error WHY WHAT failed; 2, the exit status for that. */
int shardctl_fail(const char *what, const char *why);

/* What errno says. */
const char *shardctl_error_text(void);

/* The first line of FILE. False: it cannot be read, or there is none. */
bool shardctl_read_secret(const char *file, char *secret, size_t size) MUST_CHECK;

/* The id in decimal digits that TEXT is; 0: it is none. */
uint64_t shardctl_read_id(const char *text);

/* The client of the Redis Cluster that the options name, or of the demo's, to be freed
 * with rcluster_free(). NULL: said on standard error. */
struct rcluster *shardctl_redis(const struct shardctl *ctl) MUST_CHECK;

/* Find the owner of every slot. False: said on standard error. */
bool shardctl_discover(const struct shardctl *ctl, const char *command) MUST_CHECK;

/* One command each; the exit status. */
int shardctl_audit(const struct shardctl *ctl);
int shardctl_export(const struct shardctl *ctl);
int shardctl_call(const struct shardctl *ctl);
int shardctl_cache(const struct shardctl *ctl);

/* Their part of the help. */
extern const char shardctl_audit_help[];
extern const char shardctl_export_help[];
extern const char shardctl_call_help[];
extern const char shardctl_cache_help[];

#endif
