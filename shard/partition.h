/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Partitions of own slots: the one place where SQL is put together, from integers and
 * from names of tables that the shard answered.
 *
 * A slot from 1024 up has a partition of its own in every owner table. It is named by
 * slot and epoch, s1030_e18, so that whoever drops one says which: a late one, of a mover
 * that slept, names one that is not there any more. A shared slot has none: everything
 * here does nothing for it.
 *
 * One session at a time changes those of a slot (promote_hold): a mover that was followed
 * by another makes none any more, either.
 *
 * An ALTER TABLE waits for the transactions that use the table, and all later ones wait
 * behind it: it gives up after a second, and is tried again. */
#ifndef DOUSHARD_PARTITION_H
#define DOUSHARD_PARTITION_H

#include <stdint.h>

#include "shard/base/check.h"

#include "shard/move_link.h"

struct move_run;

/* Have every owner table on LINK have a partition for SLOT that EPOCH names; older ones,
 * and what is in them, are dropped. */
enum move_status partition_make(struct move_run *run, struct move_link *link,
                                uint32_t slot, uint64_t epoch) MUST_CHECK;

/* Drop all partitions of SLOT on LINK that an epoch up to UPTO names. */
enum move_status partition_drop(struct move_run *run, struct move_link *link,
                                uint32_t slot, uint64_t upto) MUST_CHECK;

#endif
