/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The work behind user_erase(): undo what an erased user wrote and did. */
#ifndef DOUSHARD_ERASE_H
#define DOUSHARD_ERASE_H

#include <stdint.h>

#include "shard/call.h"
#include "shard/outcome.h"

struct delivery;

/* Undo as much of an erased user's videos, edges, comments and messages as can be undone
 * until call->deadline_ms. OK: nothing is left. BUSY: something is, perhaps only second
 * halves that are on their way; call again. Else NOTFOUND (no erased user), or why the
 * user's shard gave no answer. May be repeated and interrupted at will. */
enum outcome erase_user(struct delivery *delivery, struct call *call, uint64_t user_id);

#endif
