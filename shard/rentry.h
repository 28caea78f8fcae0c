/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* One cache entry in Redis: a string with a version, and the scripts that change it.
 *
 *   "dsc1" | version | confirmed | since | value     three doubles, little-endian
 *
 * Times are ms since the Unix epoch by the clock of the Redis node, which need not agree
 * with any other. `confirmed` is when a reader began to ask the shard and got this
 * version. `since` is when the entry was made: a fill by a reader that began to ask
 * before that is refused, because a write in between may have found nothing here. An
 * entry without value is a place for a reader to fill, or a marker: the shard has
 * something newer than what was here.
 *
 * The value is one byte, '1', or '0' for "there is no such thing", a sum, the bytes. The
 * sum (little-endian) is the XOR of the CRC-32s of the bytes, the key and the version.
 * Anything else counts as no entry.
 */
#ifndef DOUSHARD_RENTRY_H
#define DOUSHARD_RENTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/arena.h"
#include "shard/base/check.h"

#include "shard/rcluster.h"

/* Longest key, with the NUL. */
#define RENTRY_KEY_BYTES 64

/* The largest value. */
#define RENTRY_VALUE_MAX 16384

/* How long an entry without value lasts: longer than any question to a shard. */
#define RENTRY_PLACE_MS 20000

/* What is there. */
struct rentry {
    int64_t now_ms;   /* by the node's clock: when this read was made */
    uint64_t ver;     /* 0: it has just got a place */
    int64_t age_ms;   /* since it was confirmed; INT64_MAX: no value, or unknown */
    const char *data; /* in the arena; NULL: no value, or not wanted */
    size_t len;
    bool is_garbage; /* the value is not ours, so its version means nothing, either */
};

/* What the bytes under a key mean. */
enum rentry_form {
    RENTRY_NONE,   /* not ours, or damaged: counts as missing */
    RENTRY_PLACE,  /* no value: a place for a reader to fill */
    RENTRY_MARKER, /* no value: what was here is outdated by this version */
    RENTRY_VALUE,
};

/* The result of a write or a fill. */
enum rentry_fate {
    RENTRY_LOST,    /* no answer: unknown */
    RENTRY_REFUSED, /* there is something newer, or nothing */
    RENTRY_STORED,
    RENTRY_MARKED,
};

/* Set up the scripts. Before the first use; once. */
void rentry_init(void);

/* Add a command about KEY to BATCH. False: out of memory.
 *
 * Read: get the entry, or make a place. Fill: store what the shard answered to the reader
 * of entry->now_ms. Confirm: its shard still has this version. Write: the shard has just
 * changed it to this; without data, only the new version is known. Strike: for kinds
 * without version: values read before now are outdated. */
bool rentry_add_read(struct rbatch *batch, const char *key, bool wants_value);
bool rentry_add_fill(struct rbatch *batch, const char *key, const struct rentry *entry,
                     int ttl_ms);
bool rentry_add_confirm(struct rbatch *batch, const char *key, uint64_t ver,
                        int64_t place_ms, int ttl_ms);
bool rentry_add_write(struct rbatch *batch, const char *key, const struct rentry *entry,
                      int ttl_ms);
bool rentry_add_strike(struct rbatch *batch, const char *key);
bool rentry_add_drop(struct rbatch *batch, const char *key);

/* Read the answer to command I of BATCH, a read of KEY. False: no usable answer. */
bool rentry_read(const struct rbatch *batch, size_t i, const char *key,
                 struct arena *arena, struct rentry *entry) MUST_CHECK;

/* For tools: decode the LEN bytes STORED under a key, at NOW_MS by the clock of their
 * node. ENTRY, whose data is in STORED, is filled unless it is NONE. */
enum rentry_form rentry_decode(const char *key, const char *stored, size_t len,
                               int64_t now_ms, struct rentry *entry) MUST_CHECK;

/* The result of command I of BATCH, any but a read. */
enum rentry_fate rentry_fate(const struct rbatch *batch, size_t i);

#endif
