/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What the commands of shardctl share: options, the way to the shards, messages. */
#ifndef DOUSHARD_SCRIPTS_SHARDCTL_H
#define DOUSHARD_SCRIPTS_SHARDCTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/check.h"

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
    bool is_json;           /* audit */
    const char *output;     /* export */
    const char *operand;    /* export: the id; call: the statement */
};

struct shardctl {
    struct shardctl_options options;
    const struct topology *topology; /* (ref) */
    const char *password;            /* (ref) */
    struct router *router;           /* (ref) NULL: the command needs none */
};

/* Say on standard error WHY WHAT failed; 2, the exit status for that. */
int shardctl_fail(const char *what, const char *why);

/* What errno says. */
const char *shardctl_error_text(void);

/* Find the owner of every slot. False: said on standard error. */
bool shardctl_discover(const struct shardctl *ctl, const char *command) MUST_CHECK;

/* One command each; the exit status. */
int shardctl_audit(const struct shardctl *ctl);
int shardctl_export(const struct shardctl *ctl);
int shardctl_call(const struct shardctl *ctl);

/* Their part of the help. */
extern const char shardctl_audit_help[];
extern const char shardctl_export_help[];
extern const char shardctl_call_help[];

#endif
