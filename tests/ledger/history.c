/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What the clients of the ledger test did and what they were told. */
#include "tests/ledger/history.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char *const kind_names[LEDGER_KIND__COUNT] = {
    "like",    "follow",    "comment", "uncomment",
    "message", "unpublish", "read",    "read_video"};

const char *ledger_kind_name(enum ledger_kind kind)
{
    return kind_names[kind];
}

enum ledger_outcome ledger_outcome_of(int status_code)
{
    switch (status_code) {
    case 0:
        return LEDGER_OK;
    case 1001: /* not logged in */
    case 1002: /* bad parameter */
    case 1004: /* no such user */
    case 1008: /* with yourself */
    case 1010: /* no such comment */
    case 1011: /* no such video */
    case 1012: /* not yours */
    case 1013: /* idempotency key */
        return LEDGER_FAIL;
    default:
        /* Including "busy": an earlier attempt of the same request may have been done. */
        return LEDGER_UNKNOWN;
    }
}

void ledger_text(char *text, size_t size, uint32_t worker, uint32_t n)
{
    CHECK(snprintf(text, size, "text %" PRIu32 "-%" PRIu32, worker, n) < (int)size);
}

bool ledger_text_parse(const char *text, uint32_t *worker, uint32_t *n)
{
    char again[32];
    char *end = NULL;

    if (strncmp(text, "text ", 5) != 0) {
        return false;
    }
    *worker = (uint32_t)strtoul(text + 5, &end, 10);
    if (*end != '-') {
        return false;
    }
    *n = (uint32_t)strtoul(end + 1, NULL, 10);
    ledger_text(again, sizeof again, *worker, *n);
    return strcmp(text, again) == 0;
}

void *ledger_grow(void *array, size_t n, size_t *room, size_t size)
{
    if (n < *room) {
        return array;
    }
    *room = *room == 0 ? 256 : *room * 2;
    void *larger = reallocarray(array, *room, size);
    CHECK(larger != NULL);
    return larger;
}

void ledger_history_add(struct ledger_history *history, const struct ledger_op *op)
{
    history->ops = ledger_grow(history->ops, history->n, &history->room, sizeof *op);
    history->ops[history->n++] = *op;
}

void ledger_history_release(struct ledger_history *history)
{
    free(history->ops);
    *history = (struct ledger_history){.n = 0};
}

bool ledger_history_write(const struct ledger_history *history, FILE *file)
{
    for (size_t i = 0; i < history->n; i++) {
        const struct ledger_op *op = &history->ops[i];
        if (fprintf(file,
                    "%" PRIu32 " %" PRIu32 " %d %" PRIu64 " %" PRIu64 " %" PRIu64
                    " %d %" PRId64 " %" PRId64 " %d %d %" PRIu32 " %" PRId64 " %" PRId64
                    " %" PRId64 " %" PRId64 " %" PRIu32 "\n",
                    op->worker, op->n, (int)op->kind, op->actor, op->target, op->item,
                    op->on, op->invoked_us, op->returned_us, (int)op->outcome, op->code,
                    op->server, op->counts[0], op->counts[1], op->counts[2],
                    op->counts[3], op->repeats) < 0) {
            return false;
        }
    }
    return fflush(file) == 0;
}

#define NUMBERS 17

bool ledger_read_numbers(const char **text, int64_t *numbers, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char *end = NULL;
        errno = 0;
        numbers[i] = strtoll(*text, &end, 10);
        if (end == *text || errno != 0) {
            return false;
        }
        *text = end;
    }
    return true;
}

bool ledger_history_read(struct ledger_history *history, FILE *file, size_t *line)
{
    char text[512];
    int64_t v[NUMBERS];

    for (*line = 1; fgets(text, sizeof text, file) != NULL; ++*line) {
        const char *rest = text;
        if (!ledger_read_numbers(&rest, v, NUMBERS) || *rest != '\n' || v[2] < 0 ||
            v[2] >= LEDGER_KIND__COUNT || v[9] < 0 || v[9] >= LEDGER_OUTCOME__COUNT) {
            return false;
        }
        const struct ledger_op op = {.worker = (uint32_t)v[0],
                                     .n = (uint32_t)v[1],
                                     .kind = (enum ledger_kind)v[2],
                                     .actor = (uint64_t)v[3],
                                     .target = (uint64_t)v[4],
                                     .item = (uint64_t)v[5],
                                     .on = v[6] != 0,
                                     .invoked_us = v[7],
                                     .returned_us = v[8],
                                     .outcome = (enum ledger_outcome)v[9],
                                     .code = (int)v[10],
                                     .server = (uint32_t)v[11],
                                     .counts = {v[12], v[13], v[14], v[15]},
                                     .repeats = (uint32_t)v[16]};
        ledger_history_add(history, &op);
    }
    return true;
}
