/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Collecting and checking declared parameters. */
#include "server/request/params.h"

#include <stdio.h>
#include <string.h>

#include "shard/base/hex.h"
#include "shard/base/utf8.h"

/* No accepted number needs more; "1" and 100 zeros are refused as too large. */
#define NUMBER_BYTES_MAX 128

/* Values from here on are milliseconds, below seconds: 1973 in ms, the year 5138 in s. */
#define TIME_MS_FROM INT64_C(100000000000)

/* 2^53 has this many decimal digits. */
#define INTEGER_DIGITS_MAX 16

void params_init(struct params *params, struct arena *arena,
                 const struct param_spec *specs)
{
    memset(params, 0, sizeof *params);
    params->arena = arena;
    params->specs = specs;
    for (const struct param_spec *s = specs; s != NULL && s->name != NULL; s++) {
        CHECK(params->n < PARAMS_MAX);
        params->values[params->n].text = "";
        params->n++;
    }
}

/* The index of a declared parameter, or n. */
static size_t find(const struct params *params, const char *name, size_t len)
{
    size_t i = 0;

    while (i < params->n && (strlen(params->specs[i].name) != len ||
                             memcmp(params->specs[i].name, name, len) != 0)) {
        i++;
    }
    return i;
}

const struct param_spec *params_file(const struct params *params, const char *name,
                                     size_t *number)
{
    size_t wanted = find(params, name, strlen(name));

    *number = 0;
    if (wanted == params->n || params->specs[wanted].type != PARAM_FILE) {
        return NULL;
    }
    for (size_t i = 0; i < wanted; i++) {
        *number += params->specs[i].type == PARAM_FILE;
    }
    return &params->specs[wanted];
}

bool params_is_file(const struct params *params, const char *name)
{
    size_t number;

    return params_file(params, name, &number) != NULL;
}

/* The most bytes that a valid value has. */
static size_t bytes_max(const struct param_spec *spec)
{
    switch (spec->type) {
    case PARAM_TEXT:
        return (size_t)spec->max * 4; /* a code point has at most 4 bytes */
    case PARAM_TOKEN:
        return (size_t)spec->max;
    case PARAM_ID:
    case PARAM_INT:
    case PARAM_TIME:
        return NUMBER_BYTES_MAX;
    case PARAM_FILE:
        break;
    }
    return 0;
}

/* There is no memory for a value: the whole request will be refused. */
static void lose(struct params *params, struct param_raw *raw)
{
    memset(raw, 0, sizeof *raw);
    params->no_memory = true;
}

/* Add a whole value. The first that is not empty wins. */
static void add_value(struct params *params, enum param_source source, const char *name,
                      size_t name_len, const char *value, size_t value_len)
{
    size_t i = find(params, name, name_len);
    struct param_raw *raw = &params->raw[i];

    if (i == params->n || params->specs[i].type == PARAM_FILE || value_len == 0 ||
        raw->source != PARAM_NOWHERE) {
        return;
    }
    raw->source = source;
    if (value_len > bytes_max(&params->specs[i])) {
        raw->overlong = true;
        return;
    }
    raw->data = arena_strndup(params->arena, value, value_len);
    raw->len = value_len;
    if (raw->data == NULL) {
        lose(params, raw);
    }
}

void params_add_query(struct params *params, const char *name, size_t name_len,
                      const char *value, size_t value_len)
{
    add_value(params, PARAM_QUERY, name, name_len, value, value_len);
}

/* Decode '+' and %XX in place; a malformed escape stays as it is. Returns the new length.
 */
static size_t decode(char *text, size_t len)
{
    size_t out = 0;

    for (size_t i = 0; i < len; i++) {
        char c = text[i] == '+' ? ' ' : text[i];

        if (hex_escape(text + i, len - i, &c)) {
            i += 2;
        }
        text[out++] = c;
    }
    return out;
}

void params_add_urlencoded(struct params *params, char *body, size_t len)
{
    while (len > 0) {
        char *end = memchr(body, '&', len);
        size_t field_len = end != NULL ? (size_t)(end - body) : len;
        char *equals = memchr(body, '=', field_len);

        if (equals != NULL) {
            size_t name_len = decode(body, (size_t)(equals - body));
            char *value = equals + 1;
            size_t value_len = decode(value, field_len - (size_t)(value - body));

            add_value(params, PARAM_BODY, body, name_len, value, value_len);
        }
        if (end == NULL) {
            return;
        }
        body += field_len + 1;
        len -= field_len + 1;
    }
}

void params_add_part(struct params *params, const char *name, bool first,
                     const char *data, size_t len)
{
    size_t i = find(params, name, strlen(name));
    struct param_raw *raw = &params->raw[i];
    size_t max;

    if (i == params->n || params->specs[i].type == PARAM_FILE) {
        return;
    }
    if (first) {
        raw->open = raw->source == PARAM_NOWHERE;
    }
    if (!raw->open || len == 0) {
        return;
    }
    max = bytes_max(&params->specs[i]);
    raw->source = PARAM_BODY;
    if (raw->data == NULL) {
        raw->data = arena_alloc(params->arena, max + 1);
        if (raw->data == NULL) {
            lose(params, raw);
            return;
        }
    }
    if (len > max - raw->len) {
        raw->overlong = true;
        raw->open = false;
        return;
    }
    memcpy(raw->data + raw->len, data, len);
    raw->len += len;
}

/* A decimal number being read: DIGITS times 10 to the power of SCALE. */
struct decimal {
    bool negative;
    uint64_t digits; /* the first INTEGER_DIGITS_MAX significant ones */
    int n_digits;    /* all significant ones, trailing zeros not counted */
    long scale;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Read digits from *POS on, with one point among them if a digit follows it. False: there
 * is no digit. Zeros are counted in PENDING until another digit follows, so that trailing
 * ones go into the scale. */
static bool read_mantissa(const char *text, size_t len, size_t *pos, struct decimal *dec)
{
    bool any = false;
    bool after_point = false;
    long pending = 0;

    for (; *pos < len; (*pos)++) {
        char c = text[*pos];

        if (c == '.' && !after_point && any && *pos + 1 < len &&
            is_digit(text[*pos + 1])) {
            after_point = true;
            continue;
        }
        if (!is_digit(c)) {
            break;
        }
        any = true;
        dec->scale -= after_point ? 1 : 0;
        if (c == '0') {
            pending += dec->n_digits > 0 ? 1 : 0;
            continue;
        }
        for (long i = 0; i <= pending; i++) {
            if (dec->n_digits < INTEGER_DIGITS_MAX) {
                unsigned digit = i == pending ? (unsigned)(c - '0') : 0;

                dec->digits = dec->digits * 10 + digit;
            }
            dec->n_digits++;
        }
        pending = 0;
    }
    dec->scale += pending;
    return any;
}

/* Read "e+06" from *POS on, if it is there. A plus sign that was not escaped has become a
 * space. False: it is malformed. */
static bool read_exponent(const char *text, size_t len, size_t *pos, struct decimal *dec)
{
    bool negative = false;
    long exponent = 0;

    if (*pos == len || (text[*pos] != 'e' && text[*pos] != 'E')) {
        return true;
    }
    (*pos)++;
    if (*pos < len && (text[*pos] == '+' || text[*pos] == '-' || text[*pos] == ' ')) {
        negative = text[*pos] == '-';
        (*pos)++;
    }
    if (*pos == len) {
        return false;
    }
    for (; *pos < len && is_digit(text[*pos]); (*pos)++) {
        if (exponent < 100000) {
            exponent = exponent * 10 + (text[*pos] - '0');
        }
    }
    dec->scale += negative ? -exponent : exponent;
    return true;
}

const char *param_parse_integer(const char *text, size_t len, int64_t *value)
{
    struct decimal dec = {.negative = len > 0 && text[0] == '-'};
    size_t pos = dec.negative ? 1 : 0;
    uint64_t magnitude;

    if (!read_mantissa(text, len, &pos, &dec) || !read_exponent(text, len, &pos, &dec) ||
        pos != len) {
        return "is not a number";
    }
    magnitude = dec.digits;
    if (dec.n_digits > 0) {
        if (dec.scale < 0) {
            return "is not a whole number";
        }
        if (dec.n_digits + dec.scale > INTEGER_DIGITS_MAX) {
            return "is 2^53 or more";
        }
        for (long i = 0; i < dec.scale; i++) {
            magnitude *= 10;
        }
    }
    if (magnitude >= (uint64_t)PARAM_INTEGER_LIMIT) {
        return "is 2^53 or more";
    }
    *value = dec.negative ? -(int64_t)magnitude : (int64_t)magnitude;
    return NULL;
}

int64_t param_parse_time_ms(const char *text, size_t len)
{
    int64_t value = 0;

    if (param_parse_integer(text, len, &value) != NULL || value <= 0) {
        return 0;
    }
    return value >= TIME_MS_FROM ? value : value * 1000;
}

/* Say what is wrong with SPEC's value; REASON comes after the name. */
static bool refuse(struct params_error *error, const struct param_spec *spec,
                   const char *reason)
{
    error->name = spec->name;
    (void)snprintf(error->reason, sizeof error->reason, "%s %s", spec->name, reason);
    return false;
}

static bool check_integer(const struct param_spec *spec, const struct param_raw *raw,
                          struct param *value, struct params_error *error)
{
    int64_t min = spec->type == PARAM_ID ? 1 : spec->min;
    int64_t max = spec->type == PARAM_ID ? PARAM_INTEGER_LIMIT - 1 : spec->max;
    const char *wrong;
    char reason[64];

    if (raw->overlong) {
        return refuse(error, spec, "is too long for a number");
    }
    wrong = param_parse_integer(value->text, value->len, &value->integer);
    if (wrong != NULL) {
        return refuse(error, spec, wrong);
    }
    if (value->integer < 0 && min >= 0) {
        return refuse(error, spec, "is negative");
    }
    if (value->integer < min || value->integer > max) {
        (void)snprintf(reason, sizeof reason, "is not in %lld..%lld", (long long)min,
                       (long long)max);
        return refuse(error, spec, reason);
    }
    return true;
}

static bool check_text(const struct param_spec *spec, const struct param_raw *raw,
                       const struct param *value, struct params_error *error)
{
    ssize_t n = raw->overlong ? 0 : utf8_count(value->text, value->len);
    char reason[64];

    if (raw->overlong || n > spec->max) {
        (void)snprintf(reason, sizeof reason, "is longer than %lld characters",
                       (long long)spec->max);
        return refuse(error, spec, reason);
    }
    if (n < 0) {
        return refuse(error, spec, "is not valid UTF-8");
    }
    if (memchr(value->text, '\0', value->len) != NULL) {
        return refuse(error, spec, "contains a NUL byte");
    }
    if (n < spec->min) {
        (void)snprintf(reason, sizeof reason, "is shorter than %lld characters",
                       (long long)spec->min);
        return refuse(error, spec, reason);
    }
    return true;
}

static bool is_visible_ascii(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '!' || text[i] > '~') {
            return false;
        }
    }
    return true;
}

/* Is this a possible token? Otherwise it becomes "". */
static bool is_token(const struct param_raw *raw)
{
    return raw->data != NULL && !raw->overlong && is_visible_ascii(raw->data, raw->len);
}

const char *params_peek_token(const struct params *params, const char *name)
{
    size_t i = find(params, name, strlen(name));
    const struct param_raw *raw = &params->raw[i];

    CHECK(i < params->n && params->specs[i].type == PARAM_TOKEN);
    if (raw->source == PARAM_NOWHERE) {
        return NULL;
    }
    return is_token(raw) ? raw->data : "";
}

static bool check_one(const struct param_spec *spec, const struct param_raw *raw,
                      struct param *value, struct params_error *error)
{
    switch (spec->type) {
    case PARAM_ID:
    case PARAM_INT:
        return check_integer(spec, raw, value, error);
    case PARAM_TIME:
        value->integer = raw->overlong ? 0 : param_parse_time_ms(value->text, value->len);
        return true;
    case PARAM_TEXT:
        return check_text(spec, raw, value, error);
    case PARAM_TOKEN:
        if (!is_token(raw)) {
            value->text = "";
            value->len = 0;
        }
        return true;
    case PARAM_FILE:
        break;
    }
    return true;
}

bool params_check(struct params *params, struct params_error *error)
{
    for (size_t i = 0; i < params->n; i++) {
        const struct param_spec *spec = &params->specs[i];
        const struct param_raw *raw = &params->raw[i];
        struct param *value = &params->values[i];

        if (raw->source == PARAM_NOWHERE) {
            bool needed = (spec->flags & PARAM_REQUIRED) != 0 &&
                          spec->type != PARAM_TOKEN && spec->type != PARAM_FILE;

            if (needed) {
                error->name = spec->name;
                (void)params_missing(params, spec->name, error->reason,
                                     sizeof error->reason);
                return false;
            }
            continue;
        }
        value->present = true;
        if (raw->data != NULL && !raw->overlong) {
            value->text = raw->data;
            value->len = raw->len;
        }
        if (!check_one(spec, raw, value, error)) {
            return false;
        }
    }
    return true;
}

const struct param *params_get(const struct params *params, const char *name)
{
    size_t i = find(params, name, strlen(name));

    CHECK(i < params->n);
    return &params->values[i];
}

const char *params_missing(const struct params *params, const char *name, char *buf,
                           size_t size)
{
    (void)snprintf(buf, size, "%s is missing%s", name,
                   params->body_unread ? "; only urlencoded and multipart bodies are read"
                                       : "");
    return buf;
}
