/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What the cache keeps of users and videos: the parts of their cards, each with its own
 * version, as bytes.
 *
 *   CACHE_USER     what the user changes: name, pictures, follows ..
 *   CACHE_INBOUND  what others change: followers, likes received
 *   CACHE_VIDEO    the video, and its author's id
 *
 * The format may change between versions: a number is 8 bytes, little-endian, a text has
 * its NUL. After an upgrade bytes in another format count as missing. */
#ifndef DOUSHARD_PARTS_H
#define DOUSHARD_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/check.h"

#include "shard/cache.h"
#include "shard/dbresult.h"
#include "shard/proc.h"
#include "shard/publish.h"
#include "shard/router_call.h"
#include "shard/user.h"

/* Parts come from different columns of these answers. */
enum part_source {
    PART_OF_CARDS,  /* user_get(), video_get() and lists of videos */
    PART_OF_WRITES, /* _op_user_answer(), _op_inbound_answer(), _op_video_answer() */
};

/* Most bytes of one. */
#define PART_BYTES_MAX 2048

struct part {
    uint64_t ver;
    size_t len; /* 0: the row says that it does not exist (any more) */
    char bytes[PART_BYTES_MAX];
};

/* Read the part of KIND from ROW. False: it cannot be read. */
bool part_read(enum cache_kind kind, enum part_source source,
               const struct dbresult *result, size_t row, struct part *part) MUST_CHECK;

/* A row of a video, answered SINCE, also has its author: offer both to the cache of
 * ROUTER in this process. */
void parts_offer_author(struct router *router, const struct cache_since *since,
                        const struct dbresult *result, size_t row);
void parts_offer_video(struct router *router, const struct cache_since *since,
                       const struct dbresult *result, size_t row);

/* Called for each row answered, with its item. */
typedef void parts_row_fn(void *context, const struct cache_item *item,
                          const struct router_answer *answer);

/* How to ask the shards. */
struct parts_query {
    struct router *router;
    struct call *call;
    enum proc_id proc; /* user_get or video_get */
    parts_row_fn *row; /* may be NULL */
    void *context;     /* of ROW */
};

/* Ask the shards for the N ITEMS; those of one owner are adjacent. The outcome is OK
 * when every shard answered. */
enum outcome parts_load(const struct parts_query *query, struct cache_item **items,
                        size_t n);

/* Fill in the members of CARD, a struct user_card or for CACHE_VIDEO a struct video_card,
 * that BYTES contain; texts point into BYTES. False: they are invalid. */
bool part_show(enum cache_kind kind, const char *bytes, size_t len,
               void *card) MUST_CHECK;

#endif
