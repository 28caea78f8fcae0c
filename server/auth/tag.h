/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Short names for what is counted in a table: a keyed hash, so that nobody can choose
 * values that share a place in it. Each process has its own key. */
#ifndef DOUSHARD_AUTH_TAG_H
#define DOUSHARD_AUTH_TAG_H

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/check.h"

struct tagger {
    unsigned char key[16];
    EVP_MAC *mac; /* owned */
};

/* A part of the value that is named; borrowed. */
struct tag_part {
    const void *bytes;
    size_t len;
};

/* False: out of memory, or the library has no SipHash. */
bool tagger_init(struct tagger *tagger) MUST_CHECK;

void tagger_release(struct tagger *tagger);

/* The tag of N parts, of which all but the last have lengths that are fixed by what comes
 * before; never 0. 0: out of memory. Thread-safe. */
uint64_t tag_make(const struct tagger *tagger, const struct tag_part *part,
                  size_t n) MUST_CHECK;

#endif
