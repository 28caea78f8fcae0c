/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Which hash slot of a Redis Cluster a key is in. */
#include "shard/rslot.h"

#include <string.h>

/* CRC-16/XMODEM, polynomial 0x1021, four bits at a time: keys have some 20 bytes. */
static uint16_t crc16(const char *data, size_t len)
{
    static const uint16_t table[16] = {0x0000, 0x1021, 0x2042, 0x3063, 0x4084, 0x50a5,
                                       0x60c6, 0x70e7, 0x8108, 0x9129, 0xa14a, 0xb16b,
                                       0xc18c, 0xd1ad, 0xe1ce, 0xf1ef};
    unsigned crc = 0;

    for (size_t i = 0; i < len; i++) {
        unsigned byte = (unsigned char)data[i];
        crc = (crc << 4 ^ table[(crc >> 12 ^ byte >> 4) & 15u]) & 0xffffu;
        crc = (crc << 4 ^ table[(crc >> 12 ^ byte) & 15u]) & 0xffffu;
    }
    return (uint16_t)crc;
}

uint16_t rslot_of(const char *key, size_t len)
{
    const char *open = memchr(key, '{', len);

    if (open != NULL) {
        size_t rest = len - (size_t)(open + 1 - key);
        const char *close = memchr(open + 1, '}', rest);
        if (close != NULL && close > open + 1) {
            key = open + 1;
            len = (size_t)(close - key);
        }
    }
    return (uint16_t)(crc16(key, len) % RSLOTS);
}
