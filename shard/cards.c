/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* From rows to cards: the columns in which procedures describe users and videos. */
#include "shard/cards.h"

#define USER(name, field_kind, member)                                                   \
    {                                                                                    \
        .column = (name), .kind = (field_kind),                                          \
        .offset = offsetof(struct user_card, member)                                     \
    }
#define VIDEO(name, field_kind, member)                                                  \
    {                                                                                    \
        .column = (name), .kind = (field_kind),                                          \
        .offset = offsetof(struct video_card, member)                                    \
    }

static const struct dbfield user_fields[] = {
    USER("user_id", DBFIELD_U64, id),
    USER("name", DBFIELD_TEXT, name),
    USER("avatar", DBFIELD_TEXT, avatar),
    USER("background_image", DBFIELD_TEXT, background_image),
    USER("signature", DBFIELD_TEXT, signature),
    USER("follow_count", DBFIELD_I64, follow_count),
    USER("follower_count", DBFIELD_I64, follower_count),
    USER("total_favorited", DBFIELD_I64, total_favorited),
    USER("work_count", DBFIELD_I64, work_count),
    USER("favorite_count", DBFIELD_I64, favorite_count),
};

static const struct dbfield video_fields[] = {
    VIDEO("video_id", DBFIELD_U64, id),
    VIDEO("title", DBFIELD_TEXT, title),
    VIDEO("media", DBFIELD_TEXT, media),
    VIDEO("video_favorite_count", DBFIELD_I64, favorite_count),
    VIDEO("comment_count", DBFIELD_I64, comment_count),
    VIDEO("published_at", DBFIELD_I64, published_at_ms),
};

bool cards_read_user(const struct dbresult *result, size_t row, struct user_card *card)
{
    return dbresult_read(result, row, user_fields, ARRAY_LEN(user_fields), card);
}

bool cards_read_video(const struct dbresult *result, size_t row, struct video_card *card)
{
    return cards_read_user(result, row, &card->author) &&
           dbresult_read(result, row, video_fields, ARRAY_LEN(video_fields), card);
}
