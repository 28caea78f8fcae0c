/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The work behind chat_repair(): bring the mailboxes of a chat together again.
 *
 * After one of two shards was restored from a backup, the numbers that the sender gave
 * and those that the receiver took belong to different messages. What the receiver has is
 * the truth: it stays where it is. The last message that both have under one number is
 * looked for from the end; from there on what the receiver has is written at the sender,
 * in pages, and what it does not have is numbered behind it and waits in the outbox, for
 * the relay. Every step is a transaction and may be repeated; whoever begins anew finds a
 * later start.
 */
#ifndef DOUSHARD_REPAIR_H
#define DOUSHARD_REPAIR_H

#include <stdint.h>

#include "shard/call.h"
#include "shard/outcome.h"

struct router;

/* What USER_ID sent to PEER_ID. OK: the mailboxes fit, or one of the two is gone. BUSY:
 * the call's time is over; else why it could not be done. Thread-safe. */
enum outcome repair_chat(struct router *router, struct call *call, uint64_t user_id,
                         uint64_t peer_id);

#endif
