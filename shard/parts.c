/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The parts of cards, each with its own version, as bytes. */
#include "shard/parts.h"

#include <string.h>

#include "shard/base/le64.h"

/* The members of a card, in the order in which they are written, and the column of each
 * in an answer. */
struct part_field {
    enum dbfield_kind kind;
    size_t offset;
    const char *columns[2]; /* by enum part_source */
};

#define USER(field_kind, member, column)                                                 \
    {                                                                                    \
        field_kind, offsetof(struct user_card, member),                                  \
        {                                                                                \
            column, column                                                               \
        }                                                                                \
    }
#define VIDEO(field_kind, member, of_cards, of_writes)                                   \
    {                                                                                    \
        field_kind, offsetof(struct video_card, member),                                 \
        {                                                                                \
            of_cards, of_writes                                                          \
        }                                                                                \
    }

static const struct part_field user_fields[] = {
    USER(DBFIELD_U64, id, "user_id"),
    USER(DBFIELD_TEXT, name, "name"),
    USER(DBFIELD_TEXT, avatar, "avatar"),
    USER(DBFIELD_TEXT, background_image, "background_image"),
    USER(DBFIELD_TEXT, signature, "signature"),
    USER(DBFIELD_I64, follow_count, "follow_count"),
    USER(DBFIELD_I64, work_count, "work_count"),
    USER(DBFIELD_I64, favorite_count, "favorite_count"),
};

static const struct part_field inbound_fields[] = {
    USER(DBFIELD_U64, id, "user_id"),
    USER(DBFIELD_I64, follower_count, "follower_count"),
    USER(DBFIELD_I64, total_favorited, "total_favorited"),
};

static const struct part_field video_fields[] = {
    VIDEO(DBFIELD_U64, id, "video_id", "video_id"),
    VIDEO(DBFIELD_U64, author.id, "user_id", "author_id"),
    VIDEO(DBFIELD_TEXT, title, "title", "title"),
    VIDEO(DBFIELD_TEXT, media, "media", "media"),
    VIDEO(DBFIELD_I64, favorite_count, "video_favorite_count", "favorite_count"),
    VIDEO(DBFIELD_I64, comment_count, "comment_count", "comment_count"),
    VIDEO(DBFIELD_I64, published_at_ms, "published_at", "published_at"),
};

struct part_spec {
    const struct part_field *fields;
    size_t n;
    const char *version[2]; /* by enum part_source */
};

static const struct part_spec specs[] = {
    [CACHE_USER] = {user_fields, ARRAY_LEN(user_fields), {"ver", "ver"}},
    [CACHE_INBOUND] = {inbound_fields, ARRAY_LEN(inbound_fields), {"in_ver", "in_ver"}},
    [CACHE_VIDEO] = {video_fields, ARRAY_LEN(video_fields), {"video_ver", "ver"}},
};

/* False: VALUE is not of KIND, or does not fit. */
static bool add_value(struct part *part, enum dbfield_kind kind,
                      const struct dbvalue *value)
{
    size_t bytes = kind == DBFIELD_TEXT && value != NULL ? value->len + 1 : LE64_BYTES;

    if (value == NULL || value->is_null ||
        (value->text != NULL) != (kind == DBFIELD_TEXT) ||
        bytes > sizeof part->bytes - part->len) {
        return false;
    }
    if (kind == DBFIELD_TEXT) {
        memcpy(part->bytes + part->len, value->text, bytes);
    } else {
        le64_write(part->bytes + part->len, value->number);
    }
    part->len += bytes;
    return true;
}

/* Does the row say that the video is gone? Rows of cards have only live ones. */
static bool is_gone(const struct dbresult *result, size_t row)
{
    const struct dbvalue *live = dbresult_value(result, row, "live");

    return live != NULL && live->number == 0;
}

bool part_read(enum cache_kind kind, enum part_source source,
               const struct dbresult *result, size_t row, struct part *part)
{
    const struct part_spec *spec = &specs[kind];
    const struct dbvalue *ver = dbresult_value(result, row, spec->version[source]);

    part->len = 0;
    if (ver == NULL || ver->is_null || ver->text != NULL) {
        return false;
    }
    part->ver = ver->number;
    for (size_t i = 0; i < spec->n && !is_gone(result, row); i++) {
        const struct part_field *field = &spec->fields[i];
        if (!add_value(part, field->kind,
                       dbresult_value(result, row, field->columns[source]))) {
            return false;
        }
    }
    return true;
}

/* Set the member at OUT from the bytes at *PLACE, and move *PLACE on. */
static bool show_field(enum dbfield_kind kind, const char **place, const char *end,
                       void *out)
{
    size_t left = (size_t)(end - *place);
    size_t bytes = LE64_BYTES;

    if (kind == DBFIELD_TEXT) {
        bytes = strnlen(*place, left) + 1;
    }
    if (bytes > left) {
        return false;
    }
    if (kind == DBFIELD_TEXT) {
        *(const char **)out = *place;
    } else if (kind == DBFIELD_U64) {
        *(uint64_t *)out = le64_read(*place);
    } else {
        *(int64_t *)out = (int64_t)le64_read(*place);
    }
    *place += bytes;
    return true;
}

bool part_show(enum cache_kind kind, const char *bytes, size_t len, void *card)
{
    const struct part_spec *spec = &specs[kind];
    const char *end = bytes + len;

    for (size_t i = 0; i < spec->n; i++) {
        const struct part_field *field = &spec->fields[i];
        if (!show_field(field->kind, &bytes, end, (char *)card + field->offset)) {
            return false;
        }
    }
    return bytes == end;
}

/* ---- From the shards ---- */

static void offer(struct router *router, const struct cache_since *since,
                  const struct copy_key *key, const struct dbresult *result, size_t row)
{
    struct part part;

    if (part_read((enum cache_kind)key->kind, PART_OF_CARDS, result, row, &part)) {
        const struct cache_change said = {
            .key = *key, .ver = part.ver, .data = part.bytes, .len = part.len};
        cache_offer(router_cache(router), &said, since);
    }
}

void parts_offer_author(struct router *router, const struct cache_since *since,
                        const struct dbresult *result, size_t row)
{
    const struct dbvalue *id = dbresult_value(result, row, "user_id");

    if (cache_is_local(router_cache(router)) && id != NULL) {
        offer(router, since, &(struct copy_key){.kind = CACHE_USER, .owner = id->number},
              result, row);
        offer(router, since,
              &(struct copy_key){.kind = CACHE_INBOUND, .owner = id->number}, result,
              row);
    }
}

void parts_offer_video(struct router *router, const struct cache_since *since,
                       const struct dbresult *result, size_t row)
{
    const struct dbvalue *id = dbresult_value(result, row, "video_id");

    if (cache_is_local(router_cache(router)) && id != NULL) {
        offer(router, since, &(struct copy_key){.kind = CACHE_VIDEO, .owner = id->number},
              result, row);
        parts_offer_author(router, since, result, row);
    }
}

/* Take the part for ITEM from a card in a shard's answer. */
static bool take(struct call *call, struct cache_item *item,
                 const struct router_answer *answer)
{
    struct part part;

    if (!part_read((enum cache_kind)item->key.kind, PART_OF_CARDS, answer->result,
                   answer->row, &part)) {
        return false;
    }
    item->ver = part.ver;
    item->len = part.len;
    item->data = arena_strndup(call->arena, part.bytes, part.len);
    return item->data != NULL;
}

/* One operation for each owner; PLACE maps items to operations. NULL: out of memory. */
static struct ops *ops_for(struct cache_item **items, size_t n, size_t *place)
{
    struct ops *ops = ops_new();
    size_t n_owners = 0;

    for (size_t i = 0; ops != NULL && i < n; i++) {
        if (i == 0 || items[i - 1]->key.owner != items[i]->key.owner) {
            ops_add_owner(ops, items[i]->key.owner);
            n_owners++;
        }
        place[i] = n_owners - 1;
    }
    return ops;
}

/* Set ITEM from ANSWER. */
static enum outcome take_answer(const struct parts_query *query, struct cache_item *item,
                                const struct router_answer *answer)
{
    if (answer->outcome == OUTCOME_NOTFOUND) {
        item->data = "";
        return OUTCOME_OK;
    }
    if (answer->outcome != OUTCOME_OK) {
        return answer->outcome;
    }
    if (!take(query->call, item, answer)) {
        return proc_unreadable(query->call, query->proc);
    }
    if (query->row != NULL) {
        query->row(query->context, item, answer);
    }
    return OUTCOME_OK;
}

enum outcome parts_load(const struct parts_query *query, struct cache_item **items,
                        size_t n)
{
    struct call *call = query->call;
    struct router_answer *answers = arena_calloc(call->arena, n, sizeof *answers);
    size_t *place = arena_calloc(call->arena, n, sizeof *place);
    struct ops *ops = answers == NULL || place == NULL ? NULL : ops_for(items, n, place);
    enum outcome outcome = OUTCOME_OK;

    if (ops == NULL) {
        return call_no_memory(call);
    }
    router_batch(query->router, call, query->proc, ops, answers);
    ops_free(&ops);
    for (size_t i = 0; i < n; i++) {
        enum outcome taken = take_answer(query, items[i], &answers[place[i]]);
        outcome = taken != OUTCOME_OK ? taken : outcome;
    }
    return outcome;
}
