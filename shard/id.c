/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Ids and placement of owners: the one place in C that knows the bits of an id. */
#include "shard/id.h"

#include "shard/base/crc32.h"

#define LOW_BITS  3
#define SLOT_BITS 10

bool id_is_valid(uint64_t id)
{
    return id > 0 && id <= ID_MAX;
}

uint32_t id_slot(uint64_t id)
{
    return (uint32_t)(id >> LOW_BITS) & (SHARED_SLOTS - 1);
}

int64_t id_time_ms(uint64_t id)
{
    return (int64_t)(id >> (LOW_BITS + SLOT_BITS)) + ID_EPOCH_MS;
}

uint32_t id_name_slot(const char *name, size_t len)
{
    return crc32_iso(name, len) % SHARED_SLOTS;
}
