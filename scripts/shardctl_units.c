/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
#include "scripts/shardctl_units.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/config/config_number.h"

/* Read a number of at most 15 digits at *AT, and move *AT past it. False: there is
 * none. */
static bool read_digits(const char **at, uint64_t *number)
{
    const size_t len = strspn(*at, "0123456789");

    if (len == 0 || len > 15) {
        return false;
    }
    *number = strtoull(*at, NULL, 10);
    *at += len;
    return true;
}

bool units_read_duration(const char *text, int64_t max_ms, int64_t *ms)
{
    return config_number_parse(KIND_TIME_MS, text, ms) && *ms >= 0 && *ms <= max_ms;
}

bool units_read_rate(const char *text, uint32_t *rows_per_s)
{
    uint64_t number;

    *rows_per_s = 0;
    if (strcmp(text, "none") == 0) {
        return true;
    }
    if (!read_digits(&text, &number)) {
        return false;
    }
    if (strcmp(text, "/min") == 0) {
        number = number / 60 + (number % 60 != 0);
    } else if (*text != '\0' && strcmp(text, "/s") != 0) {
        return false;
    }
    *rows_per_s = (uint32_t)number;
    return number <= UINT32_MAX;
}

bool units_read_slots(const char *text, struct slotset *slots)
{
    const char *at = text;
    bool good = true;

    do {
        uint64_t first = 0;
        good = read_digits(&at, &first);
        uint64_t last = first;
        if (good && *at == '-') {
            at++;
            good = read_digits(&at, &last);
        }
        good = good && first <= last && last < SLOTS_MAX && (*at == ',' || *at == '\0');
        for (uint64_t slot = first; good && slot <= last; slot++) {
            slotset_add(slots, (uint32_t)slot);
        }
    } while (good && *at++ == ',');
    if (!good) {
        (void)fprintf(
            stderr,
            "shardctl: \"%s\": slots are numbers from 0 to %d and ranges of them, "
            "as 17,19,100-120\n",
            text, SLOTS_MAX - 1);
    }
    return good;
}

const char *units_duration(int64_t ms, char text[UNITS_TEXT])
{
    const int64_t s = ms / 1000;

    if (ms < 10000) {
        (void)snprintf(text, UNITS_TEXT, "%.1f s", ms < 0 ? 0.0 : (double)ms / 1000);
    } else if (s < 120) {
        (void)snprintf(text, UNITS_TEXT, "%" PRId64 " s", s);
    } else if (s < 7200) {
        (void)snprintf(text, UNITS_TEXT, "%" PRId64 " min", s / 60);
    } else if (s < 172800) {
        (void)snprintf(text, UNITS_TEXT, "%" PRId64 " h %" PRId64 " min", s / 3600,
                       s / 60 % 60);
    } else {
        (void)snprintf(text, UNITS_TEXT, "%" PRId64 " days", s / 86400);
    }
    return text;
}

const char *units_number(uint64_t number, char text[UNITS_TEXT])
{
    char digits[24];
    const size_t len = (size_t)snprintf(digits, sizeof digits, "%" PRIu64, number);
    size_t n = 0;

    for (size_t i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0) {
            text[n++] = ',';
        }
        text[n++] = digits[i];
    }
    text[n] = '\0';
    return text;
}

int units_confirm(const struct shardctl *ctl, const char *question)
{
    char answer[16];

    if (ctl->options.is_yes) {
        return 0;
    }
    if (isatty(STDIN_FILENO) == 0) {
        return shardctl_fail("nothing was done",
                             "without a terminal to ask at, add --yes");
    }
    (void)fprintf(stderr, "%s [y/N] ", question);
    if (fgets(answer, sizeof answer, stdin) != NULL &&
        (strcmp(answer, "y\n") == 0 || strcmp(answer, "yes\n") == 0)) {
        return 0;
    }
    (void)fprintf(stderr, "Nothing was done.\n");
    return 1;
}
