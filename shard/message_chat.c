/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The messages of a chat: the newest from the cache, else by the procedure message_chat.
 * Clients poll for newer messages, and mostly there are none. */
#include <string.h>

#include "shard/base/le64.h"

#include "shard/cache.h"
#include "shard/kept.h"
#include "shard/listing.h"
#include "shard/message.h"
#include "shard/router_call.h"
#include "shard/user.h"

/* ---- From the shard ---- */

/* What is asked for. */
struct chat {
    uint64_t user_id; /* whose mailbox */
    uint64_t peer_id;
    const struct message_range *range;
};

struct mail {
    uint64_t id;
    uint32_t sent;
    const char *text;
    int64_t at_ms;
};

static const struct dbfield mail_fields[] = {
    {.column = "message_id", .kind = DBFIELD_U64, .offset = offsetof(struct mail, id)},
    {.column = "sent", .kind = DBFIELD_U32, .offset = offsetof(struct mail, sent)},
    {.column = "text", .kind = DBFIELD_TEXT, .offset = offsetof(struct mail, text)},
    {.column = "at", .kind = DBFIELD_I64, .offset = offsetof(struct mail, at_ms)},
};

/* Read the messages of ROWS; a row without a message id means that there are none. ROWS
 * has one more than the page when there is more, at the end where it goes on. False: they
 * cannot be read. */
static bool read_mailbox(const struct dbresult *rows, const struct chat *chat,
                         struct message_page *page)
{
    const struct message_range *range = chat->range;
    size_t n_rows = rows->n_rows < range->limit ? rows->n_rows : range->limit;
    size_t first = range->backwards ? rows->n_rows - n_rows : 0;
    struct mail mail;

    for (size_t row = first; row < first + n_rows; row++) {
        const struct dbvalue *id = dbresult_value(rows, row, "message_id");
        if (id == NULL) {
            return false;
        }
        if (id->is_null) {
            continue;
        }
        if (!dbresult_read(rows, row, mail_fields, ARRAY_LEN(mail_fields), &mail)) {
            return false;
        }
        page->messages[page->n++] = (struct message){
            .id = mail.id,
            .from_user_id = mail.sent == 1 ? chat->user_id : chat->peer_id,
            .to_user_id = mail.sent == 1 ? chat->peer_id : chat->user_id,
            .text = mail.text,
            .at_ms = mail.at_ms};
    }
    if (page->n > 0 && listing_has_more(rows->n_rows, range->limit)) {
        page->next_ms = page->messages[range->backwards ? 0 : page->n - 1].at_ms;
    }
    return true;
}

/* Does the user exist? OK or NOTFOUND. */
static enum outcome find_peer(struct router *router, struct call *call, uint64_t peer_id)
{
    struct user_card card = {.id = 0};
    enum outcome outcome = user_get(router, call, &peer_id, 1, &card);

    return outcome == OUTCOME_OK && card.id == 0 ? OUTCOME_NOTFOUND : outcome;
}

/* Ask the shard. *HAS_CHAT: the two have a chat. */
static enum outcome ask_shard(struct router *router, struct call *call,
                              const struct chat *chat, struct message_page *page,
                              bool *has_chat)
{
    const struct message_range *range = chat->range;
    const struct dbarg args[] = {dbarg_number(chat->user_id),
                                 dbarg_number(chat->peer_id),
                                 dbarg_number((uint64_t)range->from_ms),
                                 dbarg_number(range->backwards),
                                 dbarg_number(listing_ask(range->limit)),
                                 dbarg_number(range->received_only)};
    struct router_answer answer;
    struct message_page read = {.n = 0};

    CHECK(range->from_ms >= 0);
    router_owner(router, call, PROC_MESSAGE_CHAT,
                 (struct router_subject){.owner = chat->user_id}, args, &answer);
    if (answer.outcome != OUTCOME_OK) {
        return answer.outcome;
    }
    read.messages =
        arena_calloc(call->arena, answer.result->n_rows, sizeof *read.messages);
    if (read.messages == NULL) {
        return call_no_memory(call);
    }
    const struct dbvalue *there = dbresult_value(answer.result, 0, "has_chat");
    if (there == NULL || !read_mailbox(answer.result, chat, &read)) {
        return proc_unreadable(call, PROC_MESSAGE_CHAT);
    }
    *has_chat = there->number != 0;
    *page = read;
    return OUTCOME_OK;
}

/* ---- The newest messages, which the cache keeps ---- */

/* How many are kept, of both directions. */
#define KEPT_MAX 30

/* A kept page has: whether these are all, and a row per message: id, whether it was sent,
 * time, text; oldest first. */

/* Context of the function that loads them for the cache. */
struct loading {
    struct router *router;
    struct call *call;
    const struct chat *chat;
    bool has_no_chat; /* set by the load: the shard says so */
};

/* Cut PAGE to the newest that can be kept, and return its size in bytes. */
static size_t cut_to_keep(struct message_page *page)
{
    size_t len = LE64_BYTES;

    for (size_t i = page->n; i > 0; i--) {
        size_t more = kept_row_bytes(page->messages[i - 1].text);
        if (len + more > RENTRY_VALUE_MAX) {
            page->messages += i;
            page->n -= i;
            page->next_ms = page->messages[0].at_ms;
            break;
        }
        len += more;
    }
    return len;
}

static bool write_page(struct arena *arena, const struct chat *chat,
                       struct message_page *page, struct cache_item *item)
{
    size_t len = cut_to_keep(page);
    char *bytes = arena_alloc(arena, len);

    if (bytes == NULL) {
        return false;
    }
    item->data = bytes;
    item->len = len;
    le64_write(bytes, page->next_ms == 0);
    bytes += LE64_BYTES;
    for (size_t i = 0; i < page->n; i++) {
        const struct message *message = &page->messages[i];
        bytes = kept_row_write(
            bytes, &(struct kept_row){.numbers = {message->id,
                                                  message->from_user_id == chat->user_id,
                                                  (uint64_t)message->at_ms},
                                      .text = message->text});
    }
    return true;
}

static enum outcome load(void *context, struct cache_item **items, size_t n)
{
    struct loading *loading = context;
    const struct message_range newest = {.backwards = true, .limit = KEPT_MAX};
    struct chat chat = *loading->chat;
    struct message_page page;
    bool has_chat = false;

    CHECK(n == 1);
    chat.range = &newest;
    enum outcome outcome =
        ask_shard(loading->router, loading->call, &chat, &page, &has_chat);
    if (outcome != OUTCOME_OK) {
        return outcome;
    }
    if (!write_page(loading->call->arena, &chat, &page, items[0])) {
        return call_no_memory(loading->call);
    }
    loading->has_no_chat = !has_chat;
    items[0]->is_private = !has_chat; /* the peer may not exist, either */
    return OUTCOME_OK;
}

static struct message message_of(const struct chat *chat, const struct kept_row *row)
{
    bool is_sent = row->numbers[1] == 1;

    return (struct message){.id = row->numbers[0],
                            .from_user_id = is_sent ? chat->user_id : chat->peer_id,
                            .to_user_id = is_sent ? chat->peer_id : chat->user_id,
                            .at_ms = (int64_t)row->numbers[2],
                            .text = row->text};
}

/* Read a kept page; *IS_ALL: there are no older messages. False: it is invalid, or out of
 * memory.
 */
static bool read_kept_page(struct arena *arena, const struct chat *chat,
                           const struct cache_item *item, struct message_page *kept,
                           bool *is_all)
{
    struct kept_row row;

    *kept = (struct message_page){
        .messages = arena_calloc(arena, KEPT_MAX, sizeof *kept->messages)};
    if (item->len < LE64_BYTES || kept->messages == NULL) {
        return false;
    }
    const char *place = item->data + LE64_BYTES;
    const char *end = item->data + item->len;
    *is_all = le64_read(item->data) == 1;
    while (kept->n < KEPT_MAX && kept_row_read(&place, end, &row)) {
        kept->messages[kept->n++] = message_of(chat, &row);
    }
    return place == end;
}

/* Choose from KEPT the messages newer than the range's begin, the oldest first. */
static void choose_newer(const struct chat *chat, const struct message_page *kept,
                         struct message_page *page)
{
    const struct message_range *range = chat->range;

    for (size_t i = 0; i < kept->n; i++) {
        const struct message *message = &kept->messages[i];
        if (message->at_ms <= range->from_ms ||
            (range->received_only && message->from_user_id == chat->user_id)) {
            continue;
        }
        if (page->n == range->limit) {
            page->next_ms = page->messages[page->n - 1].at_ms;
            return;
        }
        page->messages[page->n++] = *message;
    }
}

/* Choose what CHAT asks for from KEPT. False: not all of it is there. */
static bool choose(struct arena *arena, const struct chat *chat,
                   const struct message_page *kept, bool is_all,
                   struct message_page *page)
{
    const struct message_range *range = chat->range;

    *page = (struct message_page){
        .messages = arena_calloc(arena, kept->n, sizeof *page->messages)};
    if (page->messages == NULL) {
        return false;
    }
    if (!range->backwards) {
        choose_newer(chat, kept, page);
        return is_all || (kept->n > 0 && kept->messages[0].at_ms <= range->from_ms);
    }
    size_t n = kept->n < range->limit ? kept->n : range->limit;
    page->n = n;
    memcpy(page->messages, kept->messages + kept->n - n, n * sizeof *page->messages);
    page->next_ms = n < kept->n ? page->messages[0].at_ms : 0;
    return n < kept->n || (is_all && n > 0); /* if it is empty, the peer must be
                                              * checked */
}

struct copy_key message_key(uint64_t user_id, uint64_t peer_id)
{
    return (struct copy_key){.kind = CACHE_CHAT, .owner = user_id, .other = peer_id};
}

/* The page of CHAT, if it is among the newest messages. False: ask the shard. *HAS_CHAT:
 * the two have a chat. */
static bool get_cached(struct router *router, struct call *call, const struct chat *chat,
                       struct message_page *page, bool *has_chat)
{
    const struct message_range *range = chat->range;
    struct loading loading = {.router = router, .call = call, .chat = chat};
    const struct cache_reader reader = {
        .router = router, .call = call, .load = load, .context = &loading};
    struct cache_item item = {.key = message_key(chat->user_id, chat->peer_id)};
    struct message_page kept;
    bool is_all = false;

    if (!cache_is_shared(router_cache(router)) ||
        (range->backwards ? range->from_ms != 0 || range->received_only
                          : range->from_ms == 0) ||
        cache_read(&reader, &item, 1) != OUTCOME_OK) {
        return false;
    }
    *has_chat = !loading.has_no_chat;
    *page = (struct message_page){.n = 0};
    return loading.has_no_chat ||
           (read_kept_page(call->arena, chat, &item, &kept, &is_all) &&
            choose(call->arena, chat, &kept, is_all, page));
}

enum outcome message_chat(struct router *router, struct call *call, uint64_t user_id,
                          uint64_t peer_id, const struct message_range *range,
                          struct message_page *page)
{
    const struct chat chat = {.user_id = user_id, .peer_id = peer_id, .range = range};
    bool has_chat = false;
    enum outcome outcome = get_cached(router, call, &chat, page, &has_chat)
                               ? OUTCOME_OK
                               : ask_shard(router, call, &chat, page, &has_chat);
    /* A refused message also leaves an empty chat. */
    if (outcome == OUTCOME_OK && (!has_chat || (page->n == 0 && range->from_ms == 0))) {
        outcome = find_peer(router, call, peer_id);
    }
    return outcome;
}
