/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The work of chat_repair(): make the two mailboxes of a chat agree again.
 *
 * After one of two shards was restored from a backup, sender and receiver may have
 * different messages under the same number. The receiver's mailbox is right and stays as
 * it is. The last message that both have under the same number is searched from the end;
 * from there on the receiver's messages are written at the sender, in pages, and messages
 * that the receiver lacks are numbered after them and wait in the outbox for the relay.
 * Every step is a transaction and may be repeated; a new run finds a later start.
 */
#ifndef DOUSHARD_REPAIR_H
#define DOUSHARD_REPAIR_H

#include <stdint.h>

#include "shard/call.h"
#include "shard/outcome.h"

struct router;

/* Repair what USER_ID sent to PEER_ID. OK: the mailboxes agree, or one of the two is
 * gone. BUSY: the call's time is over; else why it could not be done. Thread-safe. */
enum outcome repair_chat(struct router *router, struct call *call, uint64_t user_id,
                         uint64_t peer_id);

#endif
