/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Parameters: a body means the same as a urlencoded form and as multipart fields in
 * pieces; what is accepted obeys its declaration; numbers are what long arithmetic
 * gives.
 *
 * Input: a urlencoded body; its first field is also read as a number. */
#include "shard/base/hex.h"
#include "shard/base/utf8.h"

#include "server/request/params.h"

#include "tests/fuzz/fuzz.h"

#define ARENA_BYTES ((size_t)1 << 20)

static const struct param_spec SPECS[] = {
    {"user_id", PARAM_ID, PARAM_REQUIRED, 0, 0},
    {"count", PARAM_INT, 0, -5, 100},
    {"latest_time", PARAM_TIME, 0, 0, 0},
    {"title", PARAM_TEXT, 0, 1, 8},
    {"token", PARAM_TOKEN, PARAM_REQUIRED, 0, 20},
    {"data", PARAM_FILE, PARAM_REQUIRED, 0, 0},
    {NULL, PARAM_ID, 0, 0, 0},
};

/* ---- Numbers ---- */

/* The digits of a number without point and exponent, and where its point belongs. */
struct plain {
    char digits[160];
    long n;
    long point; /* digits before it */
};

/* Splits TEXT. False: it is not of the form digits[.digits][e[sign]digits]. */
static bool take_apart(const char *text, size_t len, struct plain *plain)
{
    size_t i = 0;
    size_t start;
    long exponent = 0;
    long sign = 1;

    *plain = (struct plain){.n = 0};
    for (; i < len && text[i] >= '0' && text[i] <= '9'; i++) {
        plain->digits[plain->n++] = text[i];
    }
    if (i == 0) {
        return false;
    }
    plain->point = plain->n;
    if (i < len && text[i] == '.') {
        for (start = ++i; i < len && text[i] >= '0' && text[i] <= '9'; i++) {
            plain->digits[plain->n++] = text[i];
        }
        if (i == start) {
            return false;
        }
    }
    if (i < len && (text[i] == 'e' || text[i] == 'E')) {
        i++;
        if (i < len && (text[i] == '+' || text[i] == '-' || text[i] == ' ')) {
            sign = text[i++] == '-' ? -1 : 1;
        }
        for (start = i; i < len && text[i] >= '0' && text[i] <= '9'; i++) {
            exponent = exponent < 10000 ? exponent * 10 + (text[i] - '0') : exponent;
        }
        if (i == start) {
            return false;
        }
    }
    plain->point += sign * exponent;
    return i == len;
}

/* The value of the digits before the point. False: it is not whole, or is 2^53 or
 * more. */
static bool whole_value(const struct plain *plain, uint64_t *value)
{
    *value = 0;
    for (long i = 0; i < plain->n; i++) {
        if (plain->digits[i] != '0' && i >= plain->point) {
            return false;
        }
    }
    for (long i = 0; i < plain->point && (*value > 0 || i < plain->n); i++) {
        *value = *value * 10 + (uint64_t)(i < plain->n ? plain->digits[i] - '0' : 0);
        if (*value >= (uint64_t)PARAM_INTEGER_LIMIT) {
            return false;
        }
    }
    return true;
}

static void check_number(struct piece text)
{
    bool negative = text.len > 0 && text.data[0] == '-';
    size_t sign = negative ? 1 : 0;
    struct plain plain;
    uint64_t expected = 0;
    int64_t value = 0;
    int64_t time_ms;
    bool good;

    if (text.len > 128) {
        return;
    }
    good = take_apart(text.data + sign, text.len - sign, &plain) &&
           whole_value(&plain, &expected);
    RIGHT((param_parse_integer(text.data, text.len, &value) == NULL) == good);
    RIGHT(!good || value == (negative ? -(int64_t)expected : (int64_t)expected));
    time_ms = param_parse_time_ms(text.data, text.len);
    RIGHT(time_ms >= 0 && (good || time_ms == 0));
    RIGHT(!good || value <= 0 || time_ms == value || time_ms == value * 1000);
}

/* ---- Forms ---- */

/* Decodes '+' and %XX in PIECE into OUT, which is as long; returns the length. */
static size_t decode(struct piece piece, char *out)
{
    size_t n = 0;

    for (size_t i = 0; i < piece.len; n++) {
        char digits[3] = "";

        if (piece.len - i >= 3) {
            digits[0] = piece.data[i + 1];
            digits[1] = piece.data[i + 2];
        }
        if (piece.data[i] == '%' && strlen(digits) == 2 &&
            hex_decode(digits, out + n, 1)) {
            i += 3;
            continue;
        }
        out[n] = piece.data[i] == '+' ? ' ' : piece.data[i];
        i++;
    }
    return n;
}

/* One field of a multipart body, in pieces whose lengths depend on SEED. */
static void add_in_pieces(struct params *params, const char *name, struct piece value,
                          uint32_t seed)
{
    params_add_part(params, name, true, "", 0);
    for (size_t pos = 0; pos < value.len;) {
        size_t n = 1 + (seed >> 16) % 7;
        char *piece;

        seed = seed * 1664525U + 1013904223U;
        n = n < value.len - pos ? n : value.len - pos;
        piece = exact_copy(value.data + pos, n);
        params_add_part(params, name, false, piece, n);
        free(piece);
        pos += n;
    }
}

/* The fields of the urlencoded BODY as fields of a multipart body. */
static void add_fields(struct params *params, struct piece body, uint32_t seed)
{
    while (body.len > 0) {
        struct piece value = piece_until(&body, '&');
        struct piece name = value;
        char *decoded_name;
        char *decoded;
        size_t name_len;

        if (value.len == 0 || memchr(value.data, '=', value.len) == NULL) {
            continue;
        }
        name = piece_until(&value, '=');
        decoded_name = text_copy(name);
        name_len = decode(name, decoded_name);
        decoded_name[name_len] = '\0';
        decoded = exact_copy(value.data, value.len);
        value.len = decode(value, decoded);
        value.data = decoded;
        if (strlen(decoded_name) == name_len) {
            add_in_pieces(params, decoded_name, value, seed);
        }
        free(decoded_name);
        free(decoded);
    }
}

static void check_value(const struct param_spec *spec, const struct param *param)
{
    RIGHT(param->text != NULL && param->text[param->len] == '\0');
    if (!param->present) {
        RIGHT((spec->flags & PARAM_REQUIRED) == 0 || spec->type == PARAM_TOKEN ||
              spec->type == PARAM_FILE);
        RIGHT(param->len == 0 && param->integer == 0);
        return;
    }
    switch (spec->type) {
    case PARAM_ID:
        RIGHT(param->integer >= 1 && param->integer < PARAM_INTEGER_LIMIT);
        break;
    case PARAM_INT:
        RIGHT(param->integer >= spec->min && param->integer <= spec->max);
        break;
    case PARAM_TIME:
        RIGHT(param->integer >= 0);
        break;
    case PARAM_TEXT:
        RIGHT(utf8_count(param->text, param->len) >= spec->min);
        RIGHT(utf8_count(param->text, param->len) <= spec->max);
        RIGHT(strlen(param->text) == param->len);
        break;
    case PARAM_TOKEN:
        RIGHT(param->len <= (size_t)spec->max && strlen(param->text) == param->len);
        break;
    case PARAM_FILE:
        RIGHT(false); /* it has no value */
        break;
    }
}

static void check_same(const struct params *a, const struct params *b, bool is_good)
{
    for (const struct param_spec *spec = SPECS; is_good && spec->name != NULL; spec++) {
        const struct param *left = params_get(a, spec->name);
        const struct param *right = params_get(b, spec->name);

        check_value(spec, left);
        RIGHT(left->present == right->present && left->integer == right->integer);
        RIGHT(left->len == right->len && memcmp(left->text, right->text, left->len) == 0);
    }
}

static void check_form(struct piece body, uint32_t seed)
{
    char *copy = exact_copy(body.data, body.len);
    struct params_error left_error = {.name = NULL};
    struct params_error right_error = {.name = NULL};
    struct params left;
    struct params right;
    struct arena arena;
    const char *peeked;
    bool is_good;

    arena_init(&arena, ARENA_BYTES);
    params_init(&left, &arena, SPECS);
    params_init(&right, &arena, SPECS);
    params_add_urlencoded(&left, copy, body.len);
    add_fields(&right, body, seed);
    peeked = params_peek_token(&left, "token");
    is_good = params_check(&left, &left_error);
    RIGHT(params_check(&right, &right_error) == is_good);
    RIGHT(left_error.name == right_error.name);
    RIGHT(is_good ||
          (strcmp(left_error.reason, right_error.reason) == 0 &&
           strncmp(left_error.reason, left_error.name, strlen(left_error.name)) == 0));
    check_same(&left, &right, is_good);
    RIGHT(!is_good ||
          strcmp(peeked != NULL ? peeked : "", params_get(&left, "token")->text) == 0);
    arena_release(&arena);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct piece body = {(const char *)data, len};
    struct piece rest = body;
    struct piece first = piece_until(&rest, '&');
    char *number = exact_copy(first.data, first.len);

    if (len > 4096) {
        free(number);
        return 0;
    }
    check_number((struct piece){number, first.len});
    check_form(body, mixed(data, len));
    free(number);
    return 0;
}
