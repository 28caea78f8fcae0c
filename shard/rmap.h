/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What the nodes of a Redis Cluster say about the slots. Pure. */
#ifndef DOUSHARD_RMAP_H
#define DOUSHARD_RMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/check.h"
#include "shard/base/errmsg.h"

#include "shard/rslot.h"
#include "shard/rwire.h"

/* The host and port of a node, as named in a message. */
struct rendpoint {
    char host[256];
    unsigned port; /* 1 to 65535 */
};

/* A master and a range of its slots. */
struct rrange {
    uint16_t first, last; /* below RSLOTS, in order */
    struct rendpoint master;
};

/* Read the answer to CLUSTER SLOTS by a node that was asked at ASKED_HOST, which replaces
 * a host that the answer leaves out. True: *RANGES (of malloc, the caller's) has the *N
 * ranges, one at least, whose master has an address. False: the answer is not reliable,
 * or out of memory; ERR says which. */
bool rmap_read(const struct rreply *reply, const char *asked_host, struct rrange **ranges,
               size_t *n, struct errmsg *err) MUST_CHECK;

/* What an error means for the client. */
enum rerror {
    RERROR_MOVED,    /* ask there, from now on */
    RERROR_ASK,      /* ask there, this once, after ASKING */
    RERROR_TRYAGAIN, /* some keys of the slot are here, some there: try again in a
                      * moment */
    RERROR_DOWN,     /* this node does not serve now: CLUSTERDOWN, LOADING, MASTERDOWN */
    RERROR_NOSCRIPT, /* it does not have the script; send it */
    RERROR_OTHER,    /* the command is wrong, or the value is of another type */
};

/* Classify the ERROR of a node asked at ASKED_HOST. MOVED and ASK set *SLOT and *THERE;
 * without an address they count as RERROR_DOWN. */
enum rerror rmap_error(const struct rreply *error, const char *asked_host, uint16_t *slot,
                       struct rendpoint *there);

#endif
