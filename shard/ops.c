/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A batch of operations on its way to a procedure, as one JSON array. */
#include "shard/ops.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "shard/base/hex.h"

/* Longest binary value of one field. */
#define HEX_BYTES_MAX 64

struct op {
    json_t *fields; /* owned */
    uint64_t owner;
    uint64_t epoch;
    uint32_t slot;
    bool is_fixed; /* slot was given by the caller */
};

struct ops {
    size_t n;
    bool failed; /* an addition did not fit */
    struct op op[OPS_MAX];
};

struct ops *ops_new(void)
{
    return calloc(1, sizeof(struct ops));
}

void ops_free(struct ops **ops)
{
    if (*ops == NULL) {
        return;
    }
    for (size_t i = 0; i < (*ops)->n; i++) {
        json_decref((*ops)->op[i].fields);
    }
    free(*ops);
    *ops = NULL;
}

static struct op *add(struct ops *ops, uint64_t owner)
{
    json_t *fields = json_object();

    if (fields == NULL || ops->n == OPS_MAX) {
        json_decref(fields);
        ops->failed = true;
        return NULL;
    }
    struct op *op = &ops->op[ops->n++];
    op->fields = fields;
    op->owner = owner;
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

static void set(struct ops *ops, const char *name, json_t *value)
{
    if (ops->failed || ops->n == 0) {
        json_decref(value);
        ops->failed = true;
    } else if (json_object_set_new(ops->op[ops->n - 1].fields, name, value) != 0) {
        ops->failed = true; /* the value is gone: json_object_set_new() takes it always */
    }
}

void ops_text(struct ops *ops, const char *name, const char *value)
{
    set(ops, name, json_string(value));
}

void ops_number(struct ops *ops, const char *name, int64_t value)
{
    set(ops, name, json_integer(value));
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
    return ops->n;
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

/* FNV-1a, 64 bits (draft-eastlake-fnv-17). */
static uint64_t mix(uint64_t hash, const void *data, size_t len)
{
    const unsigned char *bytes = data;

    for (size_t i = 0; i < len; i++) {
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    }
    return hash;
}

uint64_t ops_mark(const struct ops *ops, size_t i, const char *field)
{
    CHECK(i < ops->n);
    const struct op *op = &ops->op[i];
    const json_t *value = json_object_get(op->fields, field);
    uint64_t hash = mix(UINT64_C(0xcbf29ce484222325), &op->owner, sizeof op->owner);

    if (json_is_integer(value)) {
        json_int_t number = json_integer_value(value);
        hash = mix(hash, &number, sizeof number);
    } else if (json_is_string(value)) {
        hash = mix(hash, json_string_value(value), json_string_length(value));
    } else {
        return 0;
    }
    return hash == 0 ? 1 : hash;
}

static bool is_behind(const struct ops_ref *a, const struct ops_ref *b)
{
    const struct op *x = &a->ops->op[a->i];
    const struct op *y = &b->ops->op[b->i];

    return x->slot > y->slot || (x->slot == y->slot && x->owner > y->owner);
}

/* A batch is small and comes nearly sorted: insertion sort, which needs no context for
 * the comparison and keeps equal operations in the caller's order. */
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

static bool finish(struct op *op)
{
    return json_object_set_new(op->fields, "slot", json_integer(op->slot)) == 0 &&
           json_object_set_new(op->fields, "epoch",
                               json_integer((json_int_t)op->epoch)) == 0 &&
           json_object_set_new(op->fields, "owner",
                               json_integer((json_int_t)op->owner)) == 0;
}

const char *ops_render(const struct ops_ref *refs, size_t n, struct arena *arena,
                       size_t *len)
{
    json_t *array = json_array();
    char *text = NULL;
    bool good = array != NULL;

    for (size_t i = 0; good && i < n; i++) {
        struct op *op = &refs[i].ops->op[refs[i].i];
        good = !refs[i].ops->failed && finish(op) &&
               json_array_append(array, op->fields) == 0;
    }
    if (good) {
        size_t size = json_dumpb(array, NULL, 0, JSON_COMPACT);
        text = size == 0 || size > OPS_BYTES_MAX ? NULL : arena_alloc(arena, size + 1);
        if (text != NULL) {
            *len = json_dumpb(array, text, size, JSON_COMPACT);
        }
    }
    json_decref(array);
    return text;
}
