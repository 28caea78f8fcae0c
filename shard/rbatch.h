/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Inside of struct rbatch: for rbatch.c and rcluster.c only. */
#ifndef DOUSHARD_RBATCH_H
#define DOUSHARD_RBATCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/buf.h"
#include "shard/base/wait.h"

#include "shard/rcluster.h"

/* Whether the caller still waits for a batch. */
enum rbatch_phase {
    RBATCH_WAITED, /* its caller waits at the parker */
    RBATCH_LEFT,   /* its deadline has passed: nobody waits */
    RBATCH_DONE,   /* all commands have ended, and the parker is posted */
};

struct rcommand {
    struct rbatch *batch;
    const struct rscript *script; /* (ref) NULL: none */
    size_t begin, len;            /* its bytes in batch->wire */
    uint16_t slot;
    _Atomic enum rstatus status; /* set last */
    struct rreply *reply;        /* owned */

    /* Of the thread of the cluster. */
    unsigned n_sent_on;    /* how often it was redirected or repeated */
    struct rcommand *next; /* in the list of those that wait */
    int64_t due_ms;        /* until when, by the monotonic clock */
};

struct rbatch {
    atomic_uint refs; /* its owner, and the cluster's thread while that has it */
    struct buf wire;  /* the commands, as they are sent */
    int64_t deadline_ms;
    struct parker parker;
    _Atomic enum rbatch_phase phase;
    struct rbatch *next; /* in the inbox */
    size_t n_left;       /* commands that have not ended; of the cluster's thread */
    size_t n, n_max;
    struct rcommand commands[];
};

/* Drop one reference. */
void rbatch_unref(struct rbatch *batch);

#endif
