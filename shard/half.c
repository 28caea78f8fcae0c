/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The second halves of writes to two owners: their outbox rows, and batches of them sent
 * to the target and back. */
#include "shard/half.h"

#include <string.h>

#include "shard/base/clock.h"
#include "shard/base/hex.h"

#include "shard/cache.h"
#include "shard/id.h"
#include "shard/message.h"
#include "shard/router_call.h"

/* How many bytes an operation takes in a batch besides its text: names of fields, ids,
 * op. */
#define OP_OVERHEAD_BYTES 400

/* Pauses before the next attempt: for a row whose target's shard did not answer, and for
 * one that failed, doubled with each failure up to a maximum. */
#define PUT_OFF_MS     1000
#define PUT_OFF_MAX_MS 20000
#define RETRY_MS       500
#define RETRY_MAX_MS   60000

static const struct {
    const char *word;
    enum proc_id deliver;
} kinds[HALF__COUNT] = {
    [HALF_FOLLOW] = {"follow", PROC_RELATION_DELIVER},
    [HALF_FAVORITE] = {"favorite", PROC_FAVORITE_DELIVER},
    [HALF_COMMENT] = {"comment", PROC_COMMENT_DELIVER},
    [HALF_MESSAGE] = {"message", PROC_MESSAGE_DELIVER},
};

const char *half_word(enum half_kind kind)
{
    CHECK((unsigned)kind < HALF__COUNT);
    return kinds[kind].word;
}

/* ---- Reading the outbox ---- */

struct half_key {
    const char *word;
    uint64_t actor_id;
    uint64_t target_id;
    uint64_t seq;
    uint64_t ver;
    int64_t at_ms;
    uint32_t attempts;
    uint32_t head;
};

static const struct dbfield key_fields[] = {
    {.column = "kind", .kind = DBFIELD_TEXT, .offset = offsetof(struct half_key, word)},
    {.column = "owner",
     .kind = DBFIELD_U64,
     .offset = offsetof(struct half_key, actor_id)},
    {.column = "target",
     .kind = DBFIELD_U64,
     .offset = offsetof(struct half_key, target_id)},
    {.column = "seq", .kind = DBFIELD_U64, .offset = offsetof(struct half_key, seq)},
    {.column = "ver", .kind = DBFIELD_U64, .offset = offsetof(struct half_key, ver)},
    {.column = "at", .kind = DBFIELD_I64, .offset = offsetof(struct half_key, at_ms)},
    {.column = "attempts",
     .kind = DBFIELD_U32,
     .offset = offsetof(struct half_key, attempts)},
    {.column = "head", .kind = DBFIELD_U32, .offset = offsetof(struct half_key, head)},
};

static enum half_kind kind_from_word(const char *word)
{
    enum half_kind kind = 0;

    while (kind < HALF__COUNT && strcmp(kinds[kind].word, word) != 0) {
        kind++;
    }
    return kind;
}

static bool read_message(const struct dbresult *result, size_t row, struct half *half)
{
    const struct dbfield fields[] = {
        {.column = "message_id",
         .kind = DBFIELD_U64,
         .offset = offsetof(struct half, message_id)},
        {.column = "text", .kind = DBFIELD_TEXT, .offset = offsetof(struct half, text)}};
    const struct dbvalue *op = dbresult_value(result, row, "op");
    const struct dbvalue *prev = dbresult_value(result, row, "prev");

    half->prev_id = prev == NULL || prev->is_null ? 0 : prev->number;
    return dbresult_read(result, row, fields, ARRAY_LEN(fields), half) && op != NULL &&
           op->text != NULL && hex_decode(op->text, half->op, sizeof half->op);
}

static bool read_state(const struct dbresult *result, size_t row, struct half *half)
{
    const struct dbfield fields[] = {
        {.column = "state", .kind = DBFIELD_U32, .offset = offsetof(struct half, state)}};

    return dbresult_read(result, row, fields, ARRAY_LEN(fields), half) &&
           half->state <= 1;
}

bool half_read(const struct dbresult *result, size_t row, struct half *half)
{
    struct half_key key;

    *half = (struct half){.kind = HALF__COUNT};
    if (!dbresult_read(result, row, key_fields, ARRAY_LEN(key_fields), &key)) {
        return false;
    }
    *half = (struct half){.kind = kind_from_word(key.word),
                          .actor_id = key.actor_id,
                          .target_id = key.target_id,
                          .seq = key.seq,
                          .ver = key.ver,
                          .at_ms = key.at_ms,
                          .attempts = key.attempts,
                          .is_head = key.head == 1};
    return half->kind != HALF__COUNT && id_is_valid(key.actor_id) &&
           id_is_valid(key.target_id) && read_state(result, row, half) &&
           (half->kind != HALF_MESSAGE || read_message(result, row, half));
}

/* ---- Choosing batches ---- */

enum half_state half_state_from(const struct half *half, enum outcome outcome)
{
    switch (outcome) {
    case OUTCOME_OK:
    case OUTCOME_SAME:
        return HALF_MADE;
    case OUTCOME_NOTFOUND:
        return HALF_REFUSED;
    case OUTCOME_UNAVAILABLE:
    case OUTCOME_TIMEOUT:
    case OUTCOME_UNKNOWN:
    case OUTCOME_BUSY:
    case OUTCOME_NOTREADY:
    case OUTCOME_MOVED:
    case OUTCOME_NOMEM:
        return HALF_LATER;
    case OUTCOME_GAP:
        return half->is_head ? HALF_APART : HALF_LATER;
    case OUTCOME_CONFLICT:
        return HALF_APART;
    default:
        return HALF_FAILED;
    }
}

/* The size of TEXT as a JSON string. */
static size_t json_bytes(const char *text)
{
    size_t n = 0;

    for (const char *c = text; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20) {
            n += strlen("\\u0000");
        } else {
            n += *c == '"' || *c == '\\' ? 2 : 1;
        }
    }
    return n;
}

static bool is_same_chat(const struct half *a, const struct half *b)
{
    return a->kind == HALF_MESSAGE && a->actor_id == b->actor_id &&
           a->target_id == b->target_id;
}

/* May message I go now? Depends on those before it in its chat. */
static enum half_state follow_chat(const struct half *halves,
                                   const enum half_state *states, size_t i)
{
    for (size_t j = i; j-- > 0;) {
        if (is_same_chat(&halves[j], &halves[i])) {
            return states[j] == HALF_FAILED || states[j] == HALF_APART ? HALF_LATER
                                                                       : states[j];
        }
    }
    return HALF_MADE;
}

size_t half_pick(const struct half *halves, enum half_state *states, size_t n,
                 size_t *index)
{
    size_t picked = 0;
    size_t bytes = 2;

    for (size_t i = 0; i < n && picked < OPS_MAX; i++) {
        if (states[i] != HALF_WAITING) {
            continue;
        }
        size_t more = OP_OVERHEAD_BYTES;
        if (halves[i].kind == HALF_MESSAGE) {
            enum half_state before = follow_chat(halves, states, i);
            if (before == HALF_LATER) {
                states[i] = HALF_LATER;
            }
            if (before == HALF_LATER || before == HALF_WAITING) {
                continue;
            }
            more += json_bytes(halves[i].text);
        }
        if (picked > 0 && bytes + more > OPS_BYTES_MAX) {
            break;
        }
        bytes += more;
        index[picked++] = i;
    }
    return picked;
}

static bool is_same_row(const struct half *a, const struct half *b)
{
    return a->kind == b->kind && a->actor_id == b->actor_id &&
           a->target_id == b->target_id && a->seq == b->seq;
}

size_t half_merge(struct half *halves, size_t n)
{
    size_t kept = 0;

    for (size_t i = 0; i < n; i++) {
        size_t j = 0;
        while (j < kept && !is_same_row(&halves[j], &halves[i])) {
            j++;
        }
        if (j == kept) {
            halves[kept++] = halves[i];
        } else if (halves[i].ver > halves[j].ver) {
            halves[j].ver = halves[i].ver;
        }
    }
    return kept;
}

/* ---- Batches ---- */

/* Run OPS (taken and freed; one operation per half of BATCH). */
static void run_ops(struct router *router, struct call *call, enum proc_id proc,
                    struct ops *ops, const struct half_batch *batch)
{
    struct router_answer *answers = arena_calloc(call->arena, batch->n, sizeof *answers);
    bool good = ops != NULL && answers != NULL;

    if (good) {
        router_batch(router, call, proc, ops, answers);
    } else {
        call_explain(call, "out of memory");
    }
    for (size_t i = 0; i < batch->n; i++) {
        batch->outcomes[batch->index[i]] = good ? answers[i].outcome : OUTCOME_NOMEM;
    }
    ops_free(&ops);
}

/* The mailboxes of the targets, or with IS_UNDO of the actors, may have changed. */
static void note_mail(struct router *router, const struct half_batch *batch, bool is_undo)
{
    struct cache_change changes[CACHE_CHANGES_MAX];
    size_t n = 0;

    for (size_t i = 0; router_cache(router) != NULL && i < batch->n; i++) {
        const struct half *half = &batch->halves[batch->index[i]];
        if (half->kind == HALF_MESSAGE) {
            changes[n++] = (struct cache_change){
                .key = is_undo ? message_key(half->actor_id, half->target_id)
                               : message_key(half->target_id, half->actor_id)};
        }
        if (n == CACHE_CHANGES_MAX || (n > 0 && i + 1 == batch->n)) {
            cache_write(router_cache(router), changes, n,
                        clock_mono_ms() + CACHE_WRITE_MS);
            n = 0;
        }
    }
}

static const struct half *get(const struct half_batch *batch, size_t i)
{
    return &batch->halves[batch->index[i]];
}

/* The fields in the order in which the routine recognises the text of a repeat
 * (_op_clear). */
static void add_edge(struct ops *ops, const struct half *half)
{
    ops_number(ops, "actor", (int64_t)half->actor_id);
    ops_number(ops, "state", half->state);
    ops_number(ops, "ver", (int64_t)half->ver);
    ops_number(ops, "at", half->at_ms);
}

static void add_comment(struct ops *ops, const struct half *half)
{
    ops_number(ops, "video", (int64_t)half->actor_id);
    ops_number(ops, "comment_id", (int64_t)half->seq);
    ops_number(ops, "state", half->state);
    ops_number(ops, "ver", (int64_t)half->ver);
    ops_number(ops, "at", half->at_ms);
}

static void add_message(struct ops *ops, const struct half *half)
{
    ops_number(ops, "peer", (int64_t)half->actor_id);
    ops_number(ops, "seq", (int64_t)half->seq);
    ops_number(ops, "message_id", (int64_t)half->message_id);
    ops_number(ops, "prev", (int64_t)half->prev_id);
    ops_number(ops, "state", half->state);
    ops_text(ops, "text", half->text);
    ops_hex(ops, "op", half->op, sizeof half->op);
}

void half_deliver(struct router *router, struct call *call,
                  const struct half_batch *batch)
{
    CHECK(batch->n > 0 && batch->n <= OPS_MAX);
    enum half_kind kind = get(batch, 0)->kind;
    struct ops *ops = ops_new();

    CHECK(kind < HALF__COUNT);
    for (size_t i = 0; ops != NULL && i < batch->n; i++) {
        const struct half *half = get(batch, i);
        CHECK(half->kind == kind);
        ops_add_owner(ops, half->target_id);
        if (kind == HALF_MESSAGE) {
            add_message(ops, half);
        } else if (kind == HALF_COMMENT) {
            add_comment(ops, half);
        } else {
            add_edge(ops, half);
        }
    }
    run_ops(router, call, kinds[kind].deliver, ops, batch);
    note_mail(router, batch, /* is_undo= */ false);
}

/* Name the outbox row of HALF. */
/* As add_edge(). */
static void add_row(struct ops *ops, const struct half *half)
{
    ops_add_owner(ops, half->actor_id);
    ops_text(ops, "kind", half_word(half->kind));
    ops_number(ops, "target", (int64_t)half->target_id);
    ops_number(ops, "seq", (int64_t)half->seq);
    ops_number(ops, "ver", (int64_t)half->ver);
}

static struct ops *name_rows(const struct half_batch *batch)
{
    struct ops *ops = ops_new();

    CHECK(batch->n > 0 && batch->n <= OPS_MAX);
    for (size_t i = 0; ops != NULL && i < batch->n; i++) {
        add_row(ops, get(batch, i));
    }
    return ops;
}

void half_done(struct router *router, struct call *call, const struct half_batch *batch)
{
    run_ops(router, call, PROC_OUTBOX_DONE, name_rows(batch), batch);
}

void half_undo(struct router *router, struct call *call, const struct half_batch *batch)
{
    run_ops(router, call, PROC_OUTBOX_UNDO, name_rows(batch), batch);
    note_mail(router, batch, /* is_undo= */ true);
}

/* Pause before the next attempt after ATTEMPTS failures. */
static int64_t retry_ms(unsigned attempts)
{
    int64_t pause_ms = RETRY_MS;

    while (attempts-- > 0 && pause_ms < RETRY_MAX_MS) {
        pause_ms *= 2;
    }
    return pause_ms < RETRY_MAX_MS ? pause_ms : RETRY_MAX_MS;
}

/* Pause before the next attempt at a half whose target did not answer: it grows with the
 * time waited, so that old halves leave time for others. */
static int64_t put_off_ms(const struct half *half)
{
    int64_t pause_ms = (clock_wall_ms() - half->at_ms) / 8;

    if (pause_ms < PUT_OFF_MS) {
        return PUT_OFF_MS;
    }
    return pause_ms < PUT_OFF_MAX_MS ? pause_ms : PUT_OFF_MAX_MS;
}

static struct ops *put_off(const struct half_batch *batch, bool failed)
{
    struct ops *ops = ops_new();

    CHECK(batch->n > 0 && batch->n <= OPS_MAX);
    for (size_t i = 0; ops != NULL && i < batch->n; i++) {
        const struct half *half = get(batch, i);
        add_row(ops, half);
        ops_number(ops, "retry_ms", failed ? retry_ms(half->attempts) : put_off_ms(half));
        ops_number(ops, "failed", failed);
    }
    return ops;
}

void half_put_off(struct router *router, struct call *call,
                  const struct half_batch *batch)
{
    run_ops(router, call, PROC_OUTBOX_FAIL, put_off(batch, /* failed= */ false), batch);
}

void half_fail(struct router *router, struct call *call, const struct half_batch *batch)
{
    run_ops(router, call, PROC_OUTBOX_FAIL, put_off(batch, /* failed= */ true), batch);
}
