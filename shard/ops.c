/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A batch of operations for a procedure, as one JSON array. */
#include "shard/ops.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/base/buf.h"
#include "shard/base/hex.h"
#include "shard/base/json_out.h"

/* Longest binary value of one field. */
#define HEX_BYTES_MAX 64

/* The size of one operation's slot, epoch and owner, with their names, and slot and epoch
 * of its target. */
#define PLACE_BYTES_MAX 192

/* Initial capacity: most batches have one operation. */
#define ROOM_MIN 4

struct op {
    size_t begin; /* of its fields in ops->out: "a":1,"b":"c" */
    size_t len;
    uint64_t owner;
    uint64_t epoch;
    uint32_t slot;
    bool is_fixed; /* the caller has given the slot */
    uint32_t target_slot;
    uint64_t target;       /* 0: none */
    uint64_t target_epoch; /* 0: not sent */
};

struct ops {
    size_t n;
    size_t n_lost; /* how many more had no room */
    size_t room;
    struct op *op;       /* owned */
    struct json_out out; /* the fields of all operations; failed if any did not fit fit */
};

struct ops *ops_new(void)
{
    struct ops *ops = calloc(1, sizeof *ops);

    if (ops != NULL) {
        json_out_init(&ops->out, OPS_BYTES_MAX);
    }
    return ops;
}

void ops_free(struct ops **ops)
{
    if (*ops == NULL) {
        return;
    }
    buf_clear(&(*ops)->out.buf);
    free((*ops)->op);
    free(*ops);
    *ops = NULL;
}

static bool make_room(struct ops *ops)
{
    size_t room = ops->room == 0 ? ROOM_MIN : 2 * ops->room;

    if (ops->n < ops->room) {
        return true;
    }
    if (ops->n == OPS_MAX) {
        return false;
    }
    struct op *more = realloc(ops->op, room * sizeof *more);
    if (more != NULL) {
        ops->op = more;
        ops->room = room;
    }
    return more != NULL;
}

static struct op *add(struct ops *ops, uint64_t owner)
{
    if (!make_room(ops)) {
        ops->out.buf.failed = true;
        ops->n_lost++;
        return NULL;
    }
    struct op *op = &ops->op[ops->n++];
    *op = (struct op){.begin = ops->out.buf.len, .owner = owner};
    return op;
}

void ops_add(struct ops *ops, uint32_t slot, uint64_t owner)
{
    struct op *op = add(ops, owner);

    if (op != NULL) {
        op->slot = slot;
        op->is_fixed = true;
    }
}

void ops_add_owner(struct ops *ops, uint64_t owner)
{
    add(ops, owner);
}

void ops_target(struct ops *ops, uint64_t target)
{
    if (!ops->out.buf.failed && ops->n > 0) {
        ops->op[ops->n - 1].target = target;
    }
}

/* Begin one more field of the last operation; call field_end() afterwards. */
static struct json_out *field(struct ops *ops)
{
    if (ops->n == 0) {
        ops->out.buf.failed = true;
    }
    ops->out.needs_comma = ops->n > 0 && ops->op[ops->n - 1].len > 0;
    return &ops->out;
}

static void field_end(struct ops *ops)
{
    if (!ops->out.buf.failed) {
        struct op *op = &ops->op[ops->n - 1];
        op->len = ops->out.buf.len - op->begin;
    }
}

void ops_text(struct ops *ops, const char *name, const char *value)
{
    json_out_text(field(ops), name, value);
    field_end(ops);
}

void ops_number(struct ops *ops, const char *name, int64_t value)
{
    json_out_integer(field(ops), name, value);
    field_end(ops);
}

void ops_hex(struct ops *ops, const char *name, const void *data, size_t len)
{
    char text[2 * HEX_BYTES_MAX + 1];

    CHECK(len <= HEX_BYTES_MAX);
    hex_encode(data, len, text);
    ops_text(ops, name, text);
}

size_t ops_count(const struct ops *ops)
{
    return ops->n + ops->n_lost;
}

bool ops_are_whole(const struct ops *ops)
{
    return ops->n_lost == 0;
}

uint64_t ops_owner(const struct ops *ops, size_t i)
{
    CHECK(i < ops->n);
    return ops->op[i].owner;
}

bool ops_fixed_slot(const struct ops *ops, size_t i, uint32_t *slot)
{
    CHECK(i < ops->n);
    if (ops->op[i].is_fixed) {
        *slot = ops->op[i].slot;
    }
    return ops->op[i].is_fixed;
}

void ops_place(struct ops *ops, size_t i, uint32_t slot, uint64_t epoch)
{
    CHECK(i < ops->n);
    ops->op[i].slot = slot;
    ops->op[i].epoch = epoch;
}

uint32_t ops_slot(const struct ops *ops, size_t i)
{
    CHECK(i < ops->n);
    return ops->op[i].slot;
}

uint64_t ops_get_target(const struct ops *ops, size_t i)
{
    CHECK(i < ops->n);
    return ops->op[i].target;
}

bool ops_has_target(const struct ops *ops, size_t i, uint32_t *slot)
{
    CHECK(i < ops->n);
    *slot = ops->op[i].target_slot;
    return ops->op[i].target != 0 && ops->op[i].target_epoch != 0;
}

void ops_place_target(struct ops *ops, size_t i, uint32_t slot, uint64_t epoch)
{
    CHECK(i < ops->n);
    ops->op[i].target_slot = slot;
    ops->op[i].target_epoch = epoch;
}

/* FNV-1a, 64 bits (draft-eastlake-fnv-17). */
static uint64_t mix(uint64_t hash, const void *data, size_t len)
{
    const unsigned char *bytes = data;

    for (size_t i = 0; i < len; i++) {
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    }
    return hash;
}

/* The value of the field NAME in the fields of OP, up to the end of all fields. Inside a
 * text something like a name has a backslash before its quotation mark. */
static const char *find_value(const struct ops *ops, const struct op *op,
                              const char *name)
{
    size_t len = strlen(name);
    const char *text = ops->out.buf.data + op->begin;

    for (size_t at = 0; at + len + 3 <= op->len; at++) {
        if (text[at] == '"' && (at == 0 || text[at - 1] == ',') &&
            memcmp(text + at + 1, name, len) == 0 &&
            memcmp(text + at + 1 + len, "\":", 2) == 0) {
            return text + at + len + 3;
        }
    }
    return NULL;
}

uint64_t ops_mark(const struct ops *ops, size_t i, const char *field)
{
    CHECK(i < ops->n);
    const struct op *op = &ops->op[i];
    const char *value = op->len == 0 ? NULL : find_value(ops, op, field);
    uint64_t hash = mix(UINT64_C(0xcbf29ce484222325), &op->owner, sizeof op->owner);

    if (value == NULL) {
        return 0;
    }
    const char *end = ops->out.buf.data + op->begin + op->len;
    const char *comma = memchr(value, ',', (size_t)(end - value));
    hash = mix(hash, value, (size_t)((comma == NULL ? end : comma) - value));
    return hash == 0 ? 1 : hash;
}

static bool is_behind(const struct ops_ref *a, const struct ops_ref *b)
{
    const struct op *x = &a->ops->op[a->i];
    const struct op *y = &b->ops->op[b->i];

    return x->slot > y->slot || (x->slot == y->slot && x->owner > y->owner);
}

/* Insertion sort, because a batch is small and nearly sorted; it is stable and needs no
 * context for the comparison. */
void ops_sort(struct ops_ref *refs, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        struct ops_ref moving = refs[i];
        size_t j = i;
        while (j > 0 && is_behind(&refs[j - 1], &moving)) {
            refs[j] = refs[j - 1];
            j--;
        }
        refs[j] = moving;
    }
}

/* Write one operation; returns its end. */
static char *write_op(char *to, const struct ops_ref *ref)
{
    const struct op *op = &ref->ops->op[ref->i];

    *to++ = '{';
    if (op->len > 0) {
        memcpy(to, ref->ops->out.buf.data + op->begin, op->len);
        to += op->len;
        *to++ = ',';
    }
    if (op->target_epoch != 0) {
        to += snprintf(to, PLACE_BYTES_MAX,
                       "\"target_slot\":%" PRIu32 ",\"target_epoch\":%" PRIu64 ",",
                       op->target_slot, op->target_epoch);
    }
    return to + snprintf(to, PLACE_BYTES_MAX,
                         "\"slot\":%" PRIu32 ",\"epoch\":%" PRIu64 ",\"owner\":%" PRIu64
                         "}",
                         op->slot, op->epoch, op->owner);
}

const char *ops_render(const struct ops_ref *refs, size_t n, struct arena *arena,
                       size_t *len)
{
    size_t size = 3;

    for (size_t i = 0; i < n; i++) {
        if (refs[i].ops->out.buf.failed) {
            return NULL;
        }
        size += refs[i].ops->op[refs[i].i].len + PLACE_BYTES_MAX;
    }
    char *text = arena_alloc(arena, size);
    if (text == NULL) {
        return NULL;
    }
    char *to = text;
    *to++ = '[';
    for (size_t i = 0; i < n; i++) {
        to = write_op(to, &refs[i]);
        *to++ = ',';
    }
    to[n == 0 ? 0 : -1] = ']';
    *len = (size_t)(to - text) + (n == 0);
    text[*len] = '\0';
    return *len > OPS_BYTES_MAX ? NULL : text;
}
