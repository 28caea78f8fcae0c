/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* CRC-32 of ISO 3309 (reflected polynomial 0xEDB88320), as SQL's CRC32(). */
#ifndef DOUSHARD_BASE_CRC32_H
#define DOUSHARD_BASE_CRC32_H

#include <stddef.h>
#include <stdint.h>

/* DATA may be NULL when LEN is 0. */
uint32_t crc32_iso(const void *data, size_t len);

#endif
