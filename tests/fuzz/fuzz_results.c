/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Results of procedures: which row answers which operation, and which rows fit a
 * struct, compared with a simple search; a word and an SQLSTATE mean the same outcome.
 *
 * Input: the number of operations, then result sets: a byte for the columns, one for
 * the number of rows, and values (see read_value()). */
#include "shard/dbresult.h"
#include "shard/outcome.h"

#include "tests/fuzz/fuzz.h"

#define SETS_MAX 4
#define ROWS_MAX 7
#define OPS_MAX  8

struct record {
    uint64_t id;
    int64_t delta;
    uint32_t slot;
    const char *name;
};

static const struct dbfield FIELDS[] = {
    {"id", DBFIELD_U64, offsetof(struct record, id)},
    {"delta", DBFIELD_I64, offsetof(struct record, delta)},
    {"slot", DBFIELD_U32, offsetof(struct record, slot)},
    {"name", DBFIELD_TEXT, offsetof(struct record, name)},
};

static const char *const NAMES[] = {"n", "code", "id", "delta", "slot", "name"};

/* The result sets of one CALL. */
struct sets {
    struct dbresult result[SETS_MAX];
    const char *columns[SETS_MAX][ARRAY_LEN(NAMES)];
    struct dbvalue values[SETS_MAX][ROWS_MAX * ARRAY_LEN(NAMES)];
    size_t n;
};

static unsigned next_byte(struct piece *rest)
{
    unsigned byte = 0;

    if (rest->len > 0) {
        byte = (unsigned char)rest->data[0];
        *rest = (struct piece){rest->data + 1, rest->len - 1};
    }
    return byte;
}

/* One byte: 0 is NULL; up to 199 that number; up to 219 a word; otherwise a number in
 * the next eight bytes. */
static struct dbvalue read_value(struct piece *rest)
{
    static const char *const words[] = {"ok", "same", "moved", "notready", "", "x"};
    struct dbvalue value = {.is_null = false};
    unsigned kind = next_byte(rest);

    if (kind == 0) {
        value.is_null = true;
    } else if (kind < 200) {
        value.number = kind;
    } else if (kind < 220) {
        value.text = words[kind % ARRAY_LEN(words)];
        value.len = strlen(value.text);
    } else {
        for (size_t i = 0; i < 8; i++) {
            value.number = value.number << 8 | next_byte(rest);
        }
    }
    return value;
}

/* The columns in FLAGS; its highest bits choose their order. */
static void read_set(struct sets *sets, struct piece *rest)
{
    unsigned flags = next_byte(rest);
    size_t at = sets->n++;
    struct dbresult *result = &sets->result[at];

    *result = (struct dbresult){.columns = sets->columns[at], .values = sets->values[at]};
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
        size_t which = (flags & 0x80) != 0 ? ARRAY_LEN(NAMES) - 1 - i : i;

        if ((flags >> which & 1) != 0) {
            sets->columns[at][result->n_columns++] = NAMES[which];
        }
    }
    result->n_rows = next_byte(rest) % (ROWS_MAX + 1);
    for (size_t i = 0; i < result->n_rows * result->n_columns; i++) {
        sets->values[at][i] = read_value(rest);
    }
    if (at > 0) {
        sets->result[at - 1].next = result;
    }
}

/* The value of COLUMN in ROW; NULL: no such column or row. */
static const struct dbvalue *look_up(const struct dbresult *result, size_t row,
                                     const char *column)
{
    for (unsigned i = 0; i < result->n_columns && row < result->n_rows; i++) {
        if (strcmp(result->columns[i], column) == 0) {
            return result->values + row * result->n_columns + i;
        }
    }
    return NULL;
}

/* Whether row ROW of RESULT answers operation NUMBER. */
static bool answers(const struct dbresult *result, size_t row, uint64_t number)
{
    const struct dbvalue *n = look_up(result, row, "n");

    return n != NULL && look_up(result, row, "code") != NULL && !n->is_null &&
           n->text == NULL && n->number == number;
}

static void check_place(const struct sets *sets, const struct dbplace *place,
                        uint64_t number)
{
    for (size_t i = 0; i < sets->n; i++) {
        for (size_t row = 0; row < sets->result[i].n_rows; row++) {
            if (answers(&sets->result[i], row, number)) {
                RIGHT(place->result == &sets->result[i] && place->row == row);
                return;
            }
        }
    }
    RIGHT(place->result == NULL);
}

/* Whether VALUE fits a field of KIND. */
static bool fits(const struct dbvalue *value, enum dbfield_kind kind)
{
    if (value == NULL || value->is_null) {
        return false;
    }
    return kind == DBFIELD_TEXT ? value->text != NULL
                                : value->text == NULL && (kind != DBFIELD_U32 ||
                                                          value->number <= UINT32_MAX);
}

static void check_row(const struct dbresult *result, size_t row)
{
    struct record record;
    bool is_good = true;

    for (size_t i = 0; i < ARRAY_LEN(FIELDS); i++) {
        const struct dbvalue *value = look_up(result, row, FIELDS[i].column);

        RIGHT(dbresult_value(result, row, FIELDS[i].column) == value);
        is_good = is_good && fits(value, FIELDS[i].kind);
    }
    RIGHT(dbresult_read(result, row, FIELDS, ARRAY_LEN(FIELDS), &record) == is_good);
    if (is_good) {
        RIGHT(record.id == look_up(result, row, "id")->number);
        RIGHT((uint64_t)record.delta == look_up(result, row, "delta")->number);
        RIGHT(record.slot == look_up(result, row, "slot")->number);
        RIGHT(record.name == look_up(result, row, "name")->text);
    }
}

/* A word belongs to at most one outcome, and so does an SQLSTATE. */
static void check_outcome(const char *word)
{
    enum outcome outcome = OUTCOME__COUNT;

    RIGHT(outcome_from_word(word, &outcome) == (outcome != OUTCOME__COUNT));
    RIGHT(outcome == OUTCOME__COUNT || outcome_name(outcome)[0] != '\0');
    outcome = OUTCOME__COUNT;
    RIGHT(outcome_from_sqlstate(word, &outcome) == (outcome != OUTCOME__COUNT));
    RIGHT(outcome == OUTCOME__COUNT || strlen(word) == 5);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct sets sets;
    struct piece rest = {(const char *)data, len};
    char *word = text_copy(rest);
    size_t n_ops = next_byte(&rest) % (OPS_MAX + 1);
    struct dbplace places[OPS_MAX + 1];

    check_outcome(word);
    free(word);
    sets.n = 0;
    while (rest.len > 0 && sets.n < SETS_MAX) {
        read_set(&sets, &rest);
    }
    places[n_ops].row = 4711; /* belongs to no operation */
    dbresult_places(sets.n > 0 ? sets.result : NULL, places, n_ops);
    RIGHT(places[n_ops].row == 4711);
    for (size_t i = 0; i < n_ops; i++) {
        check_place(&sets, &places[i], i + 1);
    }
    for (size_t i = 0; i < sets.n; i++) {
        for (size_t row = 0; row <= sets.result[i].n_rows; row++) {
            check_row(&sets.result[i], row);
        }
    }
    return 0;
}
