/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Which hash slot of a Redis Cluster a key is in. */
#ifndef DOUSHARD_RSLOT_H
#define DOUSHARD_RSLOT_H

#include <stddef.h>
#include <stdint.h>

/* Slots of every Redis Cluster. */
#define RSLOTS 16384u

/* The slot of KEY: CRC16 of the text between its first '{' and the next '}' unless that
 * is empty, else of the whole key; below RSLOTS. (Redis Cluster specification, "Key
 * distribution model" and "Hash tags".) */
uint16_t rslot_of(const char *key, size_t len);

#endif
