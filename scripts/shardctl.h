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

/* The options of scripts/shardctl.def as given; NULL: not at all. */
struct shardctl_options {
#define TEXT_OPTION(member, name) const char *member;
#define FLAG_OPTION(member, name) bool member;
#include "scripts/shardctl.def"
    const char *const *operands; /* what follows the command, NULL behind the last */
    size_t n_operands;
    const char *operand; /* the first of them */
};

struct shardctl {
    struct shardctl_options options;
    const struct topology *topology; /* (ref) */
    const char *topology_file;       /* (ref) that it was read from */
    const char *password;            /* (ref) */
    struct router *router;           /* (ref) NULL: the command needs none */
    const char *demo; /* (ref) directory of the cluster, if it is a demo's; else NULL */
};

/* A command, as its file defines it. To add one: a line in scripts/shardctl.def, a line
 * there for each option that no other command has yet, and scripts/shardctl_NAME.c, which
 * defines shardctl_NAME; nothing else. Several that differ in a word may share a file. */
struct shardctl_command {
    const char *name;
    const char *operands; /* as the help names them, "" when it takes none */
    const char *options; /* that it takes besides those of all commands, blanks between */
    const char *help;    /* its part of the help */
    const char *user;    /* the account that it uses unless another is given */
    unsigned n_operands_min;
    unsigned n_operands_max;
    bool has_router;      /* it needs struct shardctl's */
    bool is_local;        /* it asks no shard, and needs no password */
    bool must_be_durable; /* it refuses shards that may lose acknowledged writes */
    int (*run)(const struct shardctl *ctl); /* answers the exit status */
};

#define COMMAND(name) extern const struct shardctl_command shardctl_##name;
#include "scripts/shardctl.def"

/* Say on standard error WHY WHAT failed; 2, the exit status for that. */
int shardctl_fail(const char *what, const char *why);

/* What errno says. */
const char *shardctl_error_text(void);

/* The id in decimal digits that TEXT is; 0: it is none. */
uint64_t shardctl_read_id(const char *text);

/* The number that TEXT is, 1 to MAX; NULL is OTHERWISE. 0: it is none. */
uint64_t shardctl_read_number(const char *text, uint64_t max, uint64_t otherwise);

/* The client of the Redis Cluster that the options name, or of the demo's, to be freed
 * with rcluster_free(). NULL: said on standard error. */
struct rcluster *shardctl_redis(const struct shardctl *ctl) MUST_CHECK;

/* Find the owner of every slot. False: said on standard error. */
bool shardctl_discover(const struct shardctl *ctl, const char *command) MUST_CHECK;

#endif
