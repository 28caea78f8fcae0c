/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Ids and placement of owners: the one place in C that knows the bits of an id.
 *
 * An id has 53 bits, so that it is exact in an IEEE double:
 * [40 bits ms since 2025-01-01 UTC | 10 bits shared slot | 3 low bits]. Ids are made by
 * the procedures (procedures/slot/_slot_mint.sql); C only reads them. */
#ifndef DOUSHARD_ID_H
#define DOUSHARD_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Slots that many owners share; slots from this number up belong to one owner each. */
#define SHARED_SLOTS 1024

/* 2025-01-01 00:00:00 UTC in ms since the Unix epoch: time zero of the ids. */
#define ID_EPOCH_MS INT64_C(1735689600000)

#define ID_MAX ((UINT64_C(1) << 53) - 1)

/* 1 .. ID_MAX. Only its shard knows whether such an owner exists. */
bool id_is_valid(uint64_t id);

/* The shared slot that the id names: where its owner is, or where its forwarding entry is
 * when the owner was promoted to a slot of its own. */
uint32_t id_slot(uint64_t id);

/* When the id was made, in ms since the Unix epoch. */
int64_t id_time_ms(uint64_t id);

/* The slot in which the account of a user name is kept: CRC-32 (ISO 3309, as SQL's
 * CRC32()) of the name's LEN bytes, modulo SHARED_SLOTS. */
uint32_t id_name_slot(const char *name, size_t len);

#endif
