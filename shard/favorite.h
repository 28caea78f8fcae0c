/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Callers of the procedures in procedures/favorite/. */
#ifndef DOUSHARD_FAVORITE_H
#define DOUSHARD_FAVORITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/call.h"
#include "shard/outcome.h"
#include "shard/publish.h"

struct delivery;
struct router;

/* USER_ID likes a video, or takes the like back. OK; SAME (it was so already); NOTFOUND
 * (no live video, or the user is gone). On TIMEOUT the outcome is unknown; it is safe to
 * repeat.
 */
enum outcome favorite_action(struct delivery *delivery, struct call *call,
                             uint64_t user_id, uint64_t video_id, bool likes);

/* Up to LIMIT (1 to 1000) videos that USER_ID likes, the newest like first; CURSOR is the
 * next_cursor of the page before, 0 = from the newest. Videos that are gone are left out,
 * so a page may be shorter than LIMIT without being the last: only a page->next_cursor of
 * 0 is the end. One CALL, and one per shard for the cards. OK or NOTFOUND (no such user).
 */
enum outcome favorite_list(struct router *router, struct call *call, uint64_t user_id,
                           uint64_t cursor, size_t limit, struct video_page *page);

#endif
