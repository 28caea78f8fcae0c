/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The work of chat_repair(): make the two mailboxes of a chat agree again. */
#include "shard/repair.h"

#include <stddef.h>
#include <string.h>

#include "shard/base/clock.h"
#include "shard/base/hex.h"

#include "shard/ops.h"
#include "shard/proc.h"
#include "shard/router_call.h"

/* Messages of one page: with the longest texts they fit one batch. */
#define PAGE_ROWS 20

/* Memory of one page, read and written. */
#define PAGE_ARENA_BYTES (2u << 20)

/* Above every number. */
#define NO_END (UINT64_C(1) << 53)

struct chat {
    struct router *router; /* (ref) */
    uint64_t user_id;      /* who sent */
    uint64_t peer_id;      /* who received */
};

struct mail {
    uint64_t seq;
    uint64_t message_id;
    uint32_t state;
    const char *text;
    const char *op; /* hex */
};

/* The newest first. */
struct page {
    uint64_t last; /* last number of this direction; 0: there is none yet */
    struct mail mails[PAGE_ROWS];
    size_t n;
};

static const struct dbfield mail_fields[] = {
    {.column = "seq", .kind = DBFIELD_U64, .offset = offsetof(struct mail, seq)},
    {.column = "message_id",
     .kind = DBFIELD_U64,
     .offset = offsetof(struct mail, message_id)},
    {.column = "state", .kind = DBFIELD_U32, .offset = offsetof(struct mail, state)},
    {.column = "text", .kind = DBFIELD_TEXT, .offset = offsetof(struct mail, text)},
    {.column = "op", .kind = DBFIELD_TEXT, .offset = offsetof(struct mail, op)},
};

static const struct dbfield page_fields[] = {
    {.column = "last", .kind = DBFIELD_U64, .offset = offsetof(struct page, last)},
};

/* ---- Reading ---- */

static enum outcome read_page(struct call *call, const struct dbresult *rows,
                              struct page *page)
{
    *page = (struct page){.n = 0};
    if (!dbresult_read(rows, 0, page_fields, ARRAY_LEN(page_fields), page)) {
        return proc_unreadable(call, PROC_CHAT_TAIL);
    }
    for (size_t row = 0; row < rows->n_rows; row++) {
        const struct dbvalue *seq = dbresult_value(rows, row, "seq");
        if (seq != NULL && seq->is_null) {
            continue;
        }
        if (page->n == PAGE_ROWS ||
            !dbresult_read(rows, row, mail_fields, ARRAY_LEN(mail_fields),
                           &page->mails[page->n++])) {
            return proc_unreadable(call, PROC_CHAT_TAIL);
        }
    }
    return OUTCOME_OK;
}

/* The messages numbered below BEFORE in one of the mailboxes: SENT or received. */
static enum outcome fetch(const struct chat *chat, struct call *call, bool sent,
                          uint64_t before, struct page *page)
{
    uint64_t owner = sent ? chat->user_id : chat->peer_id;
    const struct dbarg args[] = {
        dbarg_number(owner), dbarg_number(sent ? chat->peer_id : chat->user_id),
        dbarg_number(sent), dbarg_number(before), dbarg_number(PAGE_ROWS)};
    struct router_answer answer;

    router_owner(chat->router, call, PROC_CHAT_TAIL,
                 (struct router_subject){.owner = owner}, args, &answer);
    return answer.outcome == OUTCOME_OK ? read_page(call, answer.result, page)
                                        : answer.outcome;
}

/* The highest number with the same message on both sides; 0: none on these pages. */
static uint64_t find_common(const struct page *sent, const struct page *received)
{
    for (size_t i = 0, j = 0; i < sent->n && j < received->n;) {
        const struct mail *a = &sent->mails[i], *b = &received->mails[j];
        if (a->seq == b->seq && a->message_id == b->message_id) {
            return a->seq;
        }
        i += a->seq >= b->seq;
        j += a->seq <= b->seq;
    }
    return 0;
}

/* ---- Steps, each with memory of its own ---- */

/* Search one more page, back from *BEFORE, for the last message that agrees. BUSY: not
 * found yet. OK: *ANCHOR has its number, *LAST the last that was received. */
static enum outcome search(const struct chat *chat, struct call *call, uint64_t *before,
                           uint64_t *anchor, uint64_t *last)
{
    struct page sent, received;
    enum outcome outcome = fetch(chat, call, /* sent= */ false, *before, &received);

    if (outcome == OUTCOME_OK) {
        outcome = fetch(chat, call, /* sent= */ true,
                        received.last < *before ? received.last + 1 : *before, &sent);
    }
    if (outcome != OUTCOME_OK) {
        return outcome;
    }
    *last = received.last;
    *anchor = find_common(&sent, &received);
    if (*anchor > 0 || received.n < PAGE_ROWS) {
        return OUTCOME_OK;
    }
    *before = received.mails[received.n - 1].seq;
    return OUTCOME_BUSY;
}

static void add_mail(struct ops *ops, const struct chat *chat, const struct mail *mail)
{
    ops_add_owner(ops, chat->user_id);
    ops_number(ops, "peer", (int64_t)chat->peer_id);
    ops_number(ops, "seq", (int64_t)mail->seq);
    ops_number(ops, "message_id", (int64_t)mail->message_id);
    ops_number(ops, "state", mail->state);
    ops_text(ops, "text", mail->text);
    ops_text(ops, "op", mail->op);
}

/* Take the page of received messages after *ANCHOR, number the sent ones after it, and
 * move *ANCHOR to its end. BUSY: there is more, up to LAST. */
static enum outcome align(const struct chat *chat, struct call *call, uint64_t *anchor,
                          uint64_t last)
{
    struct page page = {.n = 0};
    struct router_answer answers[PAGE_ROWS + 1];
    enum outcome outcome = OUTCOME_OK;
    uint64_t end = *anchor + PAGE_ROWS < last ? *anchor + PAGE_ROWS : last;

    if (end > *anchor) {
        outcome = fetch(chat, call, /* sent= */ false, end + 1, &page);
    }
    struct ops *ops = outcome == OUTCOME_OK ? ops_new() : NULL;
    if (ops == NULL) {
        return outcome == OUTCOME_OK ? OUTCOME_NOMEM : outcome;
    }
    add_mail(ops, chat,
             &(struct mail){
                 .seq = *anchor, .text = "", .op = "00000000000000000000000000000000"});
    for (size_t i = page.n; i-- > 0;) {
        if (page.mails[i].seq > *anchor) {
            add_mail(ops, chat, &page.mails[i]);
        }
    }
    router_batch(chat->router, call, PROC_CHAT_ALIGN, ops, answers);
    ops_free(&ops);
    if (answers[0].outcome == OUTCOME_OK) {
        *anchor = end;
    }
    return answers[0].outcome == OUTCOME_OK && end < last ? OUTCOME_BUSY
                                                          : answers[0].outcome;
}

enum outcome repair_chat(struct router *router, struct call *call, uint64_t user_id,
                         uint64_t peer_id)
{
    const struct chat chat = {.router = router, .user_id = user_id, .peer_id = peer_id};
    uint64_t before = NO_END, anchor = 0, last = 0;
    enum outcome outcome = OUTCOME_BUSY;
    bool found = false;

    while (outcome == OUTCOME_BUSY && clock_mono_ms() < call->deadline_ms) {
        struct arena arena;
        struct call part;
        arena_init(&arena, PAGE_ARENA_BYTES);
        call_init(&part, &arena, call->deadline_ms);
        outcome = found ? align(&chat, &part, &anchor, last)
                        : search(&chat, &part, &before, &anchor, &last);
        if (!found && outcome == OUTCOME_OK) {
            found = true;
            outcome = OUTCOME_BUSY;
        }
        if (part.detail[0] != '\0') {
            call_explain(call, "%s", part.detail);
        }
        call->n_calls += part.n_calls;
        arena_release(&arena);
    }
    return outcome == OUTCOME_NOTFOUND ? OUTCOME_OK : outcome;
}
