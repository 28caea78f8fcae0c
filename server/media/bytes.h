/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Numbers in network byte order, as file formats store them. */
#ifndef DOUSHARD_MEDIA_BYTES_H
#define DOUSHARD_MEDIA_BYTES_H

#include <stdint.h>

static inline uint32_t bytes_be32(const unsigned char *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static inline uint64_t bytes_be64(const unsigned char *at)
{
    return (uint64_t)bytes_be32(at) << 32 | bytes_be32(at + 4);
}

#endif
