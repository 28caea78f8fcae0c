/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The comments of a video: the first page from the cache, else by the procedure
 * comment_list. The cache has ids, authors and texts; the authors' cards are read
 * separately. */
#include "shard/base/le64.h"

#include "shard/cache.h"
#include "shard/comment.h"
#include "shard/id.h"
#include "shard/kept.h"
#include "shard/listing.h"
#include "shard/router_call.h"

/* A kept page has: the limit it was read with, next_cursor, and a row per comment: id,
 * author, time, text. */
#define HEAD_BYTES     (2 * LE64_BYTES)
#define KEPT_BYTES_MAX RENTRY_VALUE_MAX

/* A page with a smaller limit is read with this one, for readers who want more. */
#define KEPT_LIMIT 100

/* Comments whose authors are known only by id. */
struct bare_page {
    struct comment *comments; /* in the call's arena */
    size_t n;
    size_t limit;
    uint64_t next_cursor;
    uint64_t ver; /* of the list */
};

/* ---- From the shard ---- */

/* Read row ROW of comment_list(). False: it cannot be read. */
static bool read_row(const struct dbresult *rows, size_t row, struct comment *comment)
{
    static const struct dbfield fields[] = {
        {.column = "comment_id",
         .kind = DBFIELD_U64,
         .offset = offsetof(struct comment, id)},
        {.column = "author_id",
         .kind = DBFIELD_U64,
         .offset = offsetof(struct comment, author.id)},
        {.column = "text",
         .kind = DBFIELD_TEXT,
         .offset = offsetof(struct comment, text)},
        {.column = "created_at",
         .kind = DBFIELD_I64,
         .offset = offsetof(struct comment, created_at_ms)}};

    return dbresult_read(rows, row, fields, ARRAY_LEN(fields), comment) &&
           id_is_valid(comment->author.id);
}

/* What to read. */
struct query {
    struct router *router;
    struct call *call;
    uint64_t video_id;
    uint64_t cursor;
    size_t limit;
};

static enum outcome ask_shard(const struct query *query, struct bare_page *page)
{
    const struct dbarg args[] = {dbarg_number(query->video_id),
                                 dbarg_number(query->cursor),
                                 dbarg_number(listing_ask(query->limit))};
    const struct listing_spec spec = {.routine = "comment_list",
                                      .id = "comment_id",
                                      .cursor = "comment_id",
                                      .limit = query->limit};
    struct router_answer answer;
    struct listing listing;

    router_owner(query->router, query->call, PROC_COMMENT_LIST,
                 (struct router_subject){.owner = query->video_id}, args, &answer);
    enum outcome outcome = answer.outcome == OUTCOME_OK
                               ? listing_read(query->call, &spec, answer.result, &listing)
                               : answer.outcome;
    if (outcome != OUTCOME_OK) {
        return outcome;
    }
    const struct dbvalue *version = dbresult_value(answer.result, 0, "comment_ver");
    *page = (struct bare_page){
        .n = listing.n, .limit = query->limit, .next_cursor = listing.next_cursor};
    page->comments = arena_calloc(query->call->arena, page->n, sizeof *page->comments);
    if (page->comments == NULL) {
        return call_no_memory(query->call);
    }
    for (size_t i = 0; i < page->n; i++) {
        if (!read_row(listing.rows, i, &page->comments[i])) {
            return proc_unreadable(query->call, PROC_COMMENT_LIST);
        }
    }
    page->ver = version == NULL ? 0 : version->number;
    return version == NULL ? proc_unreadable(query->call, PROC_COMMENT_LIST) : OUTCOME_OK;
}

/* ---- In the cache ---- */

/* Cut PAGE to what can be kept, and return its size in bytes. */
static size_t cut_to_keep(struct bare_page *page)
{
    size_t len = HEAD_BYTES;

    for (size_t i = 0; i < page->n; i++) {
        size_t more = kept_row_bytes(page->comments[i].text);
        if (len + more > KEPT_BYTES_MAX && i > 0) {
            page->n = i;
            page->limit = i;
            page->next_cursor = page->comments[i - 1].id;
            break;
        }
        len += more;
    }
    return len;
}

static bool write_page(struct arena *arena, const struct bare_page *whole,
                       struct cache_item *item)
{
    struct bare_page kept = *whole;
    const struct bare_page *page = &kept;
    size_t len = cut_to_keep(&kept);
    char *bytes = arena_alloc(arena, len);

    if (bytes == NULL) {
        return false;
    }
    item->data = bytes;
    item->len = len;
    le64_write(bytes, page->limit);
    le64_write(bytes + LE64_BYTES, page->next_cursor);
    bytes += HEAD_BYTES;
    for (size_t i = 0; i < page->n; i++) {
        const struct comment *comment = &page->comments[i];
        bytes = kept_row_write(
            bytes, &(struct kept_row){.numbers = {comment->id, comment->author.id,
                                                  (uint64_t)comment->created_at_ms},
                                      .text = comment->text});
    }
    return true;
}

/* False: the bytes are not a page, or out of memory. */
static bool read_page(struct arena *arena, const struct cache_item *item,
                      struct bare_page *page)
{
    struct kept_row row;

    if (item->len < HEAD_BYTES) {
        return false;
    }
    const char *place = item->data + HEAD_BYTES;
    const char *end = item->data + item->len;
    *page = (struct bare_page){.limit = (size_t)le64_read(item->data),
                               .next_cursor = le64_read(item->data + LE64_BYTES)};
    page->comments =
        arena_calloc(arena, item->len / KEPT_ROW_BYTES_MIN, sizeof *page->comments);
    while (page->comments != NULL && kept_row_read(&place, end, &row)) {
        page->comments[page->n++] =
            (struct comment){.id = row.numbers[0],
                             .author.id = row.numbers[1],
                             .created_at_ms = (int64_t)row.numbers[2],
                             .text = row.text};
    }
    return page->comments != NULL && place == end;
}

static enum outcome load(void *context, struct cache_item **items, size_t n)
{
    struct query query = *(const struct query *)context;
    struct bare_page page;

    query.limit = query.limit < KEPT_LIMIT ? KEPT_LIMIT : query.limit;
    enum outcome outcome = ask_shard(&query, &page);

    CHECK(n == 1);
    if (outcome == OUTCOME_NOTFOUND) {
        items[0]->data = "";
        return OUTCOME_OK;
    }
    if (outcome != OUTCOME_OK) {
        return outcome;
    }
    items[0]->ver = page.ver;
    return write_page(query.call->arena, &page, items[0]) ? OUTCOME_OK
                                                          : call_no_memory(query.call);
}

/* Cut a page that was read with a larger limit. False: it was read with a smaller limit
 * and is not complete. */
static bool cut(struct bare_page *page, size_t limit)
{
    if (page->n > limit) {
        page->n = limit;
        page->next_cursor = page->comments[limit - 1].id;
    }
    return limit <= page->limit || page->next_cursor == 0;
}

/* The first page. */
static enum outcome get_first(struct query *query, struct bare_page *page)
{
    struct cache_item item = {.key = {.kind = CACHE_COMMENTS, .owner = query->video_id}};
    const struct cache_reader reader = {
        .router = query->router, .call = query->call, .load = load, .context = query};
    enum outcome outcome = cache_read(&reader, &item, 1);

    if (outcome != OUTCOME_OK) {
        return outcome;
    }
    if (item.len == 0) {
        return OUTCOME_NOTFOUND;
    }
    if (!read_page(query->call->arena, &item, page) || !cut(page, query->limit)) {
        return ask_shard(query, page);
    }
    page->ver = item.ver;
    return OUTCOME_OK;
}

/* ---- Their authors ---- */

/* Make PAGE of the comments of BARE and their authors; those whose author is gone are
 * left out. */
static enum outcome add_authors(const struct query *query, struct bare_page *bare,
                                struct comment_page *page)
{
    struct arena *arena = query->call->arena;
    struct user_card *authors = arena_calloc(arena, bare->n, sizeof *authors);
    uint64_t *ids = arena_calloc(arena, bare->n, sizeof *ids);
    size_t kept = 0;

    if (authors == NULL || ids == NULL) {
        return call_no_memory(query->call);
    }
    for (size_t i = 0; i < bare->n; i++) {
        ids[i] = bare->comments[i].author.id;
    }
    enum outcome outcome = user_get(query->router, query->call, ids, bare->n, authors);
    if (outcome != OUTCOME_OK && !listing_may_be_partial(outcome)) {
        return outcome;
    }
    for (size_t i = 0; i < bare->n; i++) {
        if (authors[i].id != 0) {
            bare->comments[kept] = bare->comments[i];
            bare->comments[kept++].author = authors[i];
        }
    }
    *page = (struct comment_page){.comments = bare->comments,
                                  .n = kept,
                                  .next_cursor = bare->next_cursor,
                                  .partial = outcome != OUTCOME_OK,
                                  .ver = query->cursor == 0 ? bare->ver : 0};
    return OUTCOME_OK;
}

enum outcome comment_list(struct router *router, struct call *call, uint64_t video_id,
                          uint64_t cursor, size_t limit, struct comment_page *page)
{
    struct query query = {.router = router,
                          .call = call,
                          .video_id = video_id,
                          .cursor = cursor,
                          .limit = limit};
    struct bare_page bare;
    enum outcome outcome =
        cursor == 0 ? get_first(&query, &bare) : ask_shard(&query, &bare);

    return outcome == OUTCOME_OK ? add_authors(&query, &bare, page) : outcome;
}

bool comment_list_version(struct router *router, struct call *call, uint64_t video_id,
                          uint64_t *ver)
{
    const struct copy_key key = {.kind = CACHE_COMMENTS, .owner = video_id};

    return cache_version(router_cache(router), call, &key, ver);
}
