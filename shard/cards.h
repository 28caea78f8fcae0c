/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* From rows to cards: the columns in which procedures describe users and videos. */
#ifndef DOUSHARD_CARDS_H
#define DOUSHARD_CARDS_H

#include <stdbool.h>
#include <stddef.h>

#include "shard/base/check.h"

#include "shard/dbresult.h"
#include "shard/publish.h"
#include "shard/user.h"

/* Read the columns of procedures/user/user_get.sql. False: they cannot be read. */
bool cards_read_user(const struct dbresult *result, size_t row,
                     struct user_card *card) MUST_CHECK;

/* Read the columns of a video, which are beside those of its author. False: they cannot
 * be read. */
bool cards_read_video(const struct dbresult *result, size_t row,
                      struct video_card *card) MUST_CHECK;

#endif
