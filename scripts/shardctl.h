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

/* Time limits: for finding the owners of slots, for one CALL, and for one page. */
#define SHARDCTL_CONNECT_MS 2000
#define SHARDCTL_CALL_MS    30000
#define SHARDCTL_PAGE_BYTES ((size_t)64 << 20)

/* How often a page is tried before the command gives up. */
#define SHARDCTL_TRIES_MAX 5

/* How often progress is reported. */
#define SHARDCTL_REPORT_EVERY_MS 2000

/* The options of scripts/shardctl.def as given; NULL: not given. */
struct shardctl_options {
#define TEXT_OPTION(member, name) const char *member;
#define FLAG_OPTION(member, name) bool member;
#include "scripts/shardctl.def"
    const char *const *operands; /* what follows the command, with NULL after the last */
    size_t n_operands;
    const char *operand; /* the first of them */
};

struct shardctl {
    struct shardctl_options options;
    const struct topology *topology; /* (ref) */
    const char *topology_file;       /* (ref) the file it was read from */
    const char *password;            /* (ref) */
    struct router *router;           /* (ref) NULL: the command needs none */
    const char *demo; /* (ref) its directory if the cluster is the demo's, else NULL */
};

/* A command, as its file defines it. To add one: a line in scripts/shardctl.def, a line
 * there for each new option, and scripts/shardctl_NAME.c, which defines shardctl_NAME.
 * Commands that differ in a word may share a file. */
struct shardctl_command {
    const char *name;
    const char *operands; /* as the help names them, "" when it takes none */
    const char *options;  /* options besides those of all commands, separated by blanks */
    const char *help;     /* its help text */
    const char *user;     /* the default account */
    unsigned n_operands_min;
    unsigned n_operands_max;
    bool has_router;      /* it needs struct shardctl's */
    bool is_local;        /* it asks no shard, and needs no password */
    bool must_be_durable; /* it refuses shards that may lose acknowledged writes */
    int (*run)(const struct shardctl *ctl); /* answers the exit status */
};

#define COMMAND(name) extern const struct shardctl_command shardctl_##name;
#include "scripts/shardctl.def"

/* Print on standard error that WHAT failed and WHY; returns 2, the exit status. */
int shardctl_fail(const char *what, const char *why);

/* The text for errno. */
const char *shardctl_error_text(void);

/* TEXT as an id in decimal digits; 0: it is not one. */
uint64_t shardctl_read_id(const char *text);

/* TEXT as a number from 1 to MAX; NULL gives OTHERWISE. 0: it is not one. */
uint64_t shardctl_read_number(const char *text, uint64_t max, uint64_t otherwise);

/* A client of the Redis Cluster in the options, or of the demo's; free it with
 * rcluster_free(). NULL: the reason is printed on standard error. */
struct rcluster *shardctl_redis(const struct shardctl *ctl) MUST_CHECK;

/* Find the owner of every slot. False: the reason is printed on standard error. */
bool shardctl_discover(const struct shardctl *ctl, const char *command) MUST_CHECK;

#endif
