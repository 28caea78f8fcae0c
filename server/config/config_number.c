/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Numbers as people write them: 8080, "256M", "30s". */
#include "server/config/config_number.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct unit {
    const char *name;
    int64_t factor;
};

/* From the smallest to the largest; the first is the unit of the field. */
static const struct unit no_units[] = {{"", 1}};
static const struct unit sizes[] = {{"", 1},
                                    {"K", 1LL << 10},
                                    {"M", 1LL << 20},
                                    {"G", 1LL << 30},
                                    {"T", 1LL << 40}};
static const struct unit times_ms[] = {{"ms", 1},
                                       {"s", 1000},
                                       {"min", 60000},
                                       {"h", 3600000},
                                       {"d", 86400000}};
static const struct unit times_s[] = {{"s", 1}, {"min", 60}, {"h", 3600}, {"d", 86400}};

static const struct {
    const struct unit *units;
    size_t n_units;
    const char *form;
} kinds[] = {
    [KIND_INT] = {no_units, ARRAY_LEN(no_units), "a whole number"},
    [KIND_SIZE] = {sizes, ARRAY_LEN(sizes), "a size such as 512, 64K, 256M or 1G"},
    [KIND_TIME_MS] = {times_ms, ARRAY_LEN(times_ms),
                      "a time such as 200ms, 30s, 5min or 2h"},
    [KIND_TIME_S] = {times_s, ARRAY_LEN(times_s), "a time such as 30s, 5min, 2h or 7d"},
};

/* The factor of the unit NAME; 0 when the kind has no such unit. */
static int64_t factor_of(enum config_kind kind, const char *name)
{
    for (size_t i = 0; i < kinds[kind].n_units; i++) {
        if (strcmp(kinds[kind].units[i].name, name) == 0) {
            return kinds[kind].units[i].factor;
        }
    }
    return 0;
}

bool config_number_parse(enum config_kind kind, const char *text, int64_t *value)
{
    const size_t sign = *text == '-' ? 1 : 0;
    const size_t digits = strspn(text + sign, "0123456789");

    CHECK(kind < ARRAY_LEN(kinds));
    if (digits == 0) {
        return false;
    }
    *value = strtoll(text, NULL, 10);
    if (*value == 0 && text[sign + digits] == '\0') {
        return true;
    }
    const int64_t factor = factor_of(kind, text + sign + digits);
    if (__builtin_mul_overflow(*value, factor, value)) {
        *value = sign > 0 ? INT64_MIN : INT64_MAX;
    }
    return factor > 0;
}

const char *config_number_text(enum config_kind kind, int64_t value, char *text)
{
    CHECK(kind < ARRAY_LEN(kinds));
    size_t i = kinds[kind].n_units - 1;
    while (i > 0 && value % kinds[kind].units[i].factor != 0) {
        i--;
    }
    (void)snprintf(text, CONFIG_NUMBER_BYTES, "%" PRId64 "%s",
                   value / kinds[kind].units[i].factor,
                   value == 0 ? "" : kinds[kind].units[i].name);
    return text;
}

const char *config_number_form(enum config_kind kind)
{
    CHECK(kind < ARRAY_LEN(kinds));
    return kinds[kind].form;
}
