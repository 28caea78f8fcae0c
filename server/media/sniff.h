/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Recognise films (the mp4/mov family) or pictures from the first bytes of a file, as
 * they arrive. */
#ifndef DOUSHARD_MEDIA_SNIFF_H
#define DOUSHARD_MEDIA_SNIFF_H

#include <stddef.h>

#include "shard/base/check.h"

/* Only this much of a file type box is read; real ones have 16 to 60 bytes. */
#define SNIFF_BYTES 256

/* What a file should be. */
enum sniff_wish { SNIFF_WANT_FILM, SNIFF_WANT_PICTURE };

enum sniff_verdict {
    SNIFF_MORE, /* cannot tell yet */
    SNIFF_FILM, /* begins like a file of the mp4/mov family */
    SNIFF_JPEG, /* begins like such a picture */
    SNIFF_PNG,
    SNIFF_WEBP,
    SNIFF_OTHER /* something else, whatever its name says */
};

/* Storage is the caller's; all zero at the start, except the wish. */
struct sniff {
    unsigned char head[SNIFF_BYTES];
    size_t n;
    enum sniff_wish wish;
    enum sniff_verdict verdict;
};

/* Take the next LEN bytes of the file. Once the verdict is not SNIFF_MORE it stays. This
 * only gives the sender an early answer; media_examine() decides. */
enum sniff_verdict sniff_feed(struct sniff *sniff, const void *data,
                              size_t len) MUST_CHECK;

#endif
