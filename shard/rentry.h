/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* One cached thing in Redis: a string with a version, and the scripts that change it.
 *
 *   "dsc1" | version | confirmed | since | value     three doubles, little-endian
 *
 * Times are ms since the Unix epoch by the clock of the Redis node, which nobody else's
 * needs to agree with. `confirmed` is when somebody began to ask the shard and was told
 * this version. `since` is when the entry came to be: a fill by who asked before that is
 * refused, for he may have asked before a write that found nothing here. An entry without
 * value is a place that was given to who fills it, or a marker: something newer than what
 * was here is at the shard.
 *
 * The value is one byte, '1', or '0' for "there is no such thing", a sum, the bytes. The
 * sum (little-endian) is the CRC-32 of the bytes, of the key and of the version, all
 * three XOR. What is none of this is taken for nothing.
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

/* An entry without value lasts so long: longer than anybody asks a shard. */
#define RENTRY_PLACE_MS 20000

/* What is there. */
struct rentry {
    int64_t now_ms;   /* by the node: the place of who fills it */
    uint64_t ver;     /* 0: it has just been given a place */
    int64_t age_ms;   /* since it was confirmed; INT64_MAX: no value, or nobody can say */
    const char *data; /* in the arena; NULL: no value, or it was not wanted */
    size_t len;
    bool is_garbage; /* none of ours wrote that value: its version says nothing either */
};

/* What the bytes under a key are. */
enum rentry_form {
    RENTRY_NONE,   /* none of ours, or damaged: readers take it for nothing */
    RENTRY_PLACE,  /* no value, and nothing known: given to who fills it */
    RENTRY_MARKER, /* no value: what was here is over, by this version */
    RENTRY_VALUE,
};

/* What became of a write or a fill. */
enum rentry_fate {
    RENTRY_LOST,    /* no answer: nobody knows */
    RENTRY_REFUSED, /* something newer is there, or nothing */
    RENTRY_STORED,
    RENTRY_MARKED,
};

/* Set up the scripts. Before the first use; once. */
void rentry_init(void);

/* Add a command about KEY to BATCH. False: memory is short.
 *
 * Read: what is there; where nothing is, a place is given. Fill: who read it at
 * entry->now_ms has this from the shard. Confirm: its shard still has that version.
 * Write: the shard has just made this of it; without data, a newer version. Strike: for
 * what has no version, the moment counts: what was read before now is over. */
bool rentry_add_read(struct rbatch *batch, const char *key, bool wants_value);
bool rentry_add_fill(struct rbatch *batch, const char *key, const struct rentry *entry,
                     int ttl_ms);
bool rentry_add_confirm(struct rbatch *batch, const char *key, uint64_t ver,
                        int64_t place_ms, int ttl_ms);
bool rentry_add_write(struct rbatch *batch, const char *key, const struct rentry *entry,
                      int ttl_ms);
bool rentry_add_strike(struct rbatch *batch, const char *key);
bool rentry_add_drop(struct rbatch *batch, const char *key);

/* What command I of BATCH, a read of KEY, was answered. False: nobody knows what is
 * there. */
bool rentry_read(const struct rbatch *batch, size_t i, const char *key,
                 struct arena *arena, struct rentry *entry) MUST_CHECK;

/* To who looks without being a reader: what the LEN bytes STORED under a key say, at
 * NOW_MS by the clock of their node. ENTRY, whose data is in STORED, is filled unless it
 * is NONE. */
enum rentry_form rentry_decode(const char *key, const char *stored, size_t len,
                               int64_t now_ms, struct rentry *entry) MUST_CHECK;

/* What became of command I of BATCH, any other. */
enum rentry_fate rentry_fate(const struct rbatch *batch, size_t i);

#endif
