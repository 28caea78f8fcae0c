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

/* A batch is small and comes nearly sorted: insertion sort, which needs no context for
 * the comparison and keeps equal operations in the caller's order. */
void ops_sort(const struct ops *ops, size_t *index, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        size_t moving = index[i];
        const struct op *a = &ops->op[moving];
        size_t j = i;
        while (j > 0) {
            const struct op *b = &ops->op[index[j - 1]];
            if (b->slot < a->slot || (b->slot == a->slot && b->owner <= a->owner)) {
                break;
            }
            index[j] = index[j - 1];
            j--;
        }
        index[j] = moving;
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

const char *ops_render(struct ops *ops, const size_t *index, size_t n,
                       struct arena *arena, size_t *len)
{
    json_t *array = json_array();
    char *text = NULL;
    bool good = array != NULL && !ops->failed;

    for (size_t i = 0; good && i < n; i++) {
        struct op *op = &ops->op[index[i]];
        good = finish(op) && json_array_append(array, op->fields) == 0;
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
