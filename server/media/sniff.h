/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Recognise films (the mp4/mov family) or pictures from the first bytes of a file, as
 * they arrive. */
#ifndef DOUSHARD_MEDIA_SNIFF_H
#define DOUSHARD_MEDIA_SNIFF_H

#include <stddef.h>

#include "shard/base/check.h"

/* A file type box longer than this is read up to here only; real ones have 16 to 60. */
#define SNIFF_BYTES 256

/* What a file shall be. */
enum sniff_wish { SNIFF_WANT_FILM, SNIFF_WANT_PICTURE };

enum sniff_verdict {
    SNIFF_MORE, /* cannot tell yet */
    SNIFF_FILM, /* begins like a file of the mp4/mov family */
    SNIFF_JPEG, /* begins like such a picture */
    SNIFF_PNG,
    SNIFF_WEBP,
    SNIFF_OTHER /* something else, whatever its name says */
};

/* Storage is the caller's; all zero at the start, but for the wish. */
struct sniff {
    unsigned char head[SNIFF_BYTES];
    size_t n;
    enum sniff_wish wish;
    enum sniff_verdict verdict;
};

/* Look at the next LEN bytes of the file. The verdict stays once it is not SNIFF_MORE.
 * It is a first filter for the sender's sake; the proof is media_examine(). */
enum sniff_verdict sniff_feed(struct sniff *sniff, const void *data,
                              size_t len) MUST_CHECK;

#endif
