/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Asking for moves: the checks and the CALLs. */
#ifndef DOUSHARD_SCRIPTS_SHARDCTL_REQUEST_H
#define DOUSHARD_SCRIPTS_SHARDCTL_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/check.h"

#include "scripts/shardctl_checks.h"
#include "scripts/shardctl_moves.h"

/* A move to ask for. */
struct request {
    uint32_t slot;
    size_t giver; /* indices in the topology */
    size_t taker;
    uint64_t rows;    /* about */
    uint64_t bytes;   /* about */
    uint64_t move_id; /* of the giver; 0: not asked for yet */
    bool is_there;    /* nothing to do: the taker has it */
};

/* How. */
struct request_terms {
    int64_t keep_ms;     /* --keep */
    uint32_t rows_per_s; /* --rate */
};

/* Read the options --keep and --rate. False: the reason is printed on standard error. */
bool request_terms_read(struct request_terms *terms,
                        const struct shardctl *ctl) MUST_CHECK;

/* Fill rows and bytes of N requests: as counted in the background, else counted now.
 * False: the reason is printed on standard error. */
bool request_sizes(const struct shardctl *ctl, struct request *requests,
                   size_t n) MUST_CHECK;

/* Check the shards of N requests: do they answer, are they durable, do their versions
 * agree, is there room? */
void request_check_shards(const struct shardctl *ctl, const struct request *requests,
                          size_t n, struct checks *checks);

/* Ask for one. False: the reason is printed on standard error. */
bool request_send(const struct shardctl *ctl, const struct request_terms *terms,
                  struct request *request) MUST_CHECK;

/* As JSON; NULL: out of memory. */
json_t *request_json(const struct shardctl *ctl, const struct request *request);

#endif
