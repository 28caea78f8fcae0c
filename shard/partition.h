/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Partitions of own slots: the one place where SQL text is built, from integers and from
 * table names that the shard has answered.
 *
 * A slot from 1024 up has a partition of its own in every owner table. It is named by
 * slot and epoch, s1030_e18, so that a late drop by a stalled mover names a partition
 * that no longer exists. A shared slot has none: nothing here has any effect on it.
 *
 * One session at a time changes the partitions of a slot (promote_hold), so a mover that
 * has been replaced cannot make any, either.
 *
 * An ALTER TABLE waits for the transactions that use the table, and all later ones wait
 * behind it: so it gives up after a second, and is tried again. */
#ifndef DOUSHARD_PARTITION_H
#define DOUSHARD_PARTITION_H

#include <stdint.h>

#include "shard/base/check.h"

#include "shard/move_link.h"

struct move_run;

/* Give every owner table on LINK a partition for SLOT named by EPOCH; older ones are
 * dropped with their rows. */
enum move_status partition_make(struct move_run *run, struct move_link *link,
                                uint32_t slot, uint64_t epoch) MUST_CHECK;

/* Drop all partitions of SLOT on LINK with epochs up to UPTO. */
enum move_status partition_drop(struct move_run *run, struct move_link *link,
                                uint32_t slot, uint64_t upto) MUST_CHECK;

#endif
