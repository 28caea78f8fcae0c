/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Numbers as 8 bytes, the lowest first, on any machine. */
#ifndef DOUSHARD_BASE_LE64_H
#define DOUSHARD_BASE_LE64_H

#include <stddef.h>
#include <stdint.h>

#define LE64_BYTES ((size_t)8)

static inline void le64_write(char *bytes, uint64_t number)
{
    for (size_t i = 0; i < LE64_BYTES; i++) {
        bytes[i] = (char)(unsigned char)(number >> (8 * i));
    }
}

static inline uint64_t le64_read(const char *bytes)
{
    uint64_t number = 0;

    for (size_t i = 0; i < LE64_BYTES; i++) {
        number |= (uint64_t)(unsigned char)bytes[i] << (8 * i);
    }
    return number;
}

#endif
