/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Well-formedness by table 3-7 of the Unicode standard. */
#include "shard/base/utf8.h"

#include <stdbool.h>

static bool is_tail(unsigned char byte)
{
    return (byte & 0xC0u) == 0x80u;
}

/* The second byte carries all restrictions that the first one does not. */
size_t utf8_len(const char *data, size_t avail)
{
    const unsigned char *p = (const unsigned char *)data;
    unsigned char low = 0x80;
    unsigned char high = 0xBF;
    size_t len;

    if (p[0] < 0x80) {
        return 1;
    }
    if (p[0] < 0xC2) {
        return 0; /* a tail byte, or an overlong form of ASCII */
    }
    if (p[0] < 0xE0) {
        len = 2;
    } else if (p[0] < 0xF0) {
        len = 3;
        low = p[0] == 0xE0 ? 0xA0 : 0x80;  /* overlong */
        high = p[0] == 0xED ? 0x9F : 0xBF; /* surrogates */
    } else if (p[0] < 0xF5) {
        len = 4;
        low = p[0] == 0xF0 ? 0x90 : 0x80;  /* overlong */
        high = p[0] == 0xF4 ? 0x8F : 0xBF; /* above U+10FFFF */
    } else {
        return 0;
    }
    if (avail < len || p[1] < low || p[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < len; i++) {
        if (!is_tail(p[i])) {
            return 0;
        }
    }
    return len;
}

ssize_t utf8_count(const char *data, size_t len)
{
    ssize_t count = 0;

    while (len > 0) {
        size_t used = utf8_len(data, len);

        if (used == 0) {
            return -1;
        }
        data += used;
        len -= used;
        count++;
    }
    return count;
}
