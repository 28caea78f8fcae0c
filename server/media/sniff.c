/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Recognise the mp4/mov family by its file type box: size, "ftyp", major brand, version,
 * compatible brands; pictures by their signatures. */
#include "server/media/sniff.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "server/media/bytes.h"

/* size + type + major brand + version */
#define FTYP_BYTES_MIN 16

/* No real file type box is longer. */
#define FTYP_BYTES_MAX 4096

/* Brands of films; '?' matches any byte. Files that name only others (heic, avif, crx)
 * are pictures or something else. */
static const char brands[][5] = {
    "isom", "iso?", "mp4?", "mp71", "avc1", "hvc1", "hev1", "av01", "qt  ", "M4V?",
    "M4A ", "3gp?", "3gr?", "3gs?", "3ge?", "3gg?", "3g2?", "mmp4", "MSNV", "dash",
    "msdh", "cmf?", "f4v ", "F4V ", "NDS?", "XAVC", "mj2s", "CAEP", "niko",
};

static bool brand_matches(const unsigned char *brand, const char *pattern)
{
    for (size_t i = 0; i < 4; i++) {
        if (pattern[i] != '?' && brand[i] != (unsigned char)pattern[i]) {
            return false;
        }
    }
    return true;
}

static bool is_film_brand(const unsigned char *brand)
{
    for (size_t i = 0; i < ARRAY_LEN(brands); i++) {
        if (brand_matches(brand, brands[i])) {
            return true;
        }
    }
    return false;
}

/* The verdict on the bytes of a picture so far. */
static enum sniff_verdict judge_picture(const struct sniff *sniff)
{
    static const unsigned char png[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    if (sniff->n < 12) {
        return SNIFF_MORE;
    }
    if (memcmp(sniff->head, "\xff\xd8\xff", 3) == 0) {
        return SNIFF_JPEG;
    }
    if (memcmp(sniff->head, png, sizeof png) == 0) {
        return SNIFF_PNG;
    }
    if (memcmp(sniff->head, "RIFF", 4) == 0 && memcmp(sniff->head + 8, "WEBP", 4) == 0) {
        return SNIFF_WEBP;
    }
    return SNIFF_OTHER;
}

/* The verdict on the bytes so far. */
static enum sniff_verdict judge(const struct sniff *sniff)
{
    if (sniff->n < FTYP_BYTES_MIN) {
        return SNIFF_MORE;
    }
    size_t size = bytes_be32(sniff->head);
    if (memcmp(sniff->head + 4, "ftyp", 4) != 0 || size < FTYP_BYTES_MIN ||
        size > FTYP_BYTES_MAX) {
        return SNIFF_OTHER;
    }
    if (is_film_brand(sniff->head + 8)) {
        return SNIFF_FILM;
    }
    size_t end = size < SNIFF_BYTES ? size : SNIFF_BYTES;
    size_t known = sniff->n < end ? sniff->n : end;
    for (size_t at = FTYP_BYTES_MIN; at + 4 <= known; at += 4) {
        if (is_film_brand(sniff->head + at)) {
            return SNIFF_FILM;
        }
    }
    return sniff->n < end ? SNIFF_MORE : SNIFF_OTHER;
}

enum sniff_verdict sniff_feed(struct sniff *sniff, const void *data, size_t len)
{
    if (sniff->verdict != SNIFF_MORE || len == 0) {
        return sniff->verdict;
    }
    size_t take = SNIFF_BYTES - sniff->n;
    if (take > len) {
        take = len;
    }
    memcpy(sniff->head + sniff->n, data, take);
    sniff->n += take;
    sniff->verdict =
        sniff->wish == SNIFF_WANT_PICTURE ? judge_picture(sniff) : judge(sniff);
    return sniff->verdict;
}
