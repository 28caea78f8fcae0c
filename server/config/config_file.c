/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* libconfig files, read so that no number is wrapped and every error has a line.
 *
 * libconfig 1.5 reads 3000000000 as a negative number, and 5000000000L as 0 where an int
 * is asked for, without a word. So the text is scanned before libconfig sees it: numbers
 * that need 64 bits get the suffix L, numbers that need more are errors. */
#include "server/config/config_file.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/base/buf.h"
#include "shard/base/file.h"

bool config_fail(struct config_error *err, const char *file, int line, const char *fmt,
                 ...)
{
    va_list args;
    int used = 0;

    if (file != NULL && line != 0) {
        used = snprintf(err->text, sizeof err->text, "%.200s:%d: ", file, line);
    } else if (file != NULL) {
        used = snprintf(err->text, sizeof err->text, "%.200s: ", file);
    }
    used = used < 0 ? 0 : used;
    va_start(args, fmt);
    vsnprintf(err->text + used, sizeof err->text - (size_t)used, fmt, args);
    va_end(args);
    return false;
}

bool config_told(struct config_report *report, const struct config_error *err)
{
    if (report != NULL) {
        report->n_errors++;
        (void)fprintf(report->out, "%s%s\n", report->prefix, err->text);
    }
    return report != NULL;
}

/* One pass over a text: what was read and what libconfig shall see. */
struct scan {
    const char *at;
    const char *end;
    int line;
    char previous; /* last byte of the token before, 0 at the start */
    struct buf out;
    const char *file;         /* (ref) for errors */
    struct config_error *err; /* (ref) */
};

/* Copy N bytes, counting lines. */
static void copy(struct scan *scan, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        scan->line += scan->at[i] == '\n';
    }
    buf_add(&scan->out, scan->at, n);
    scan->at += n;
}

static size_t left(const struct scan *scan)
{
    return (size_t)(scan->end - scan->at);
}

static bool looking_at(const struct scan *scan, const char *text)
{
    size_t len = strlen(text);

    return left(scan) >= len && memcmp(scan->at, text, len) == 0;
}

static void scan_line_comment(struct scan *scan)
{
    const char *eol = memchr(scan->at, '\n', left(scan));

    copy(scan, eol == NULL ? left(scan) : (size_t)(eol - scan->at));
}

static bool scan_block_comment(struct scan *scan)
{
    const char *close = memmem(scan->at + 2, left(scan) - 2, "*/", 2);

    if (close == NULL) {
        return config_fail(scan->err, scan->file, scan->line,
                           "this comment has no end; close it with */");
    }
    copy(scan, (size_t)(close + 2 - scan->at));
    return true;
}

static bool scan_string(struct scan *scan)
{
    int line = scan->line;

    /* libconfig never frees a text that stands where none may be. */
    if (scan->previous == '\0' || strchr("=:([,\"", scan->previous) == NULL) {
        return config_fail(scan->err, scan->file, line,
                           "a text cannot stand here; an option is written: name = "
                           "value;");
    }
    copy(scan, 1);
    while (left(scan) > 0 && *scan->at != '"') {
        if (looking_at(scan, "\\x00") || looking_at(scan, "\\X00")) {
            return config_fail(scan->err, scan->file, scan->line,
                               "a text cannot contain \\x00");
        }
        if (*scan->at == '\n') {
            break;
        }
        copy(scan, *scan->at == '\\' && left(scan) > 1 ? 2 : 1);
    }
    if (left(scan) == 0 || *scan->at != '"') {
        return config_fail(scan->err, scan->file, line,
                           "this text has no end; close it with \" on the same line");
    }
    copy(scan, 1);
    return true;
}

static bool is_name_byte(char c)
{
    return isalnum((unsigned char)c) != 0 || c == '_' || c == '-' || c == '*';
}

/* Bytes from AT on that DIGITS contains. */
static size_t span(const struct scan *scan, size_t from, const char *digits)
{
    size_t n = from;

    while (n < left(scan) && scan->at[n] != '\0' && strchr(digits, scan->at[n]) != NULL) {
        n++;
    }
    return n - from;
}

/* A number: a fraction is copied, an integer is checked and widened where it must be. */
static bool scan_number(struct scan *scan)
{
    size_t sign = *scan->at == '+' || *scan->at == '-' ? 1 : 0;
    bool hex = sign == 0 && (looking_at(scan, "0x") || looking_at(scan, "0X"));
    size_t len = hex ? 2 + span(scan, 2, "0123456789abcdefABCDEF")
                     : sign + span(scan, sign, "0123456789");
    size_t suffix = span(scan, len, "L");
    char digits[64];

    if (!hex && suffix == 0 && span(scan, len, ".eE") > 0) {
        copy(scan, len + span(scan, len, "0123456789.eE+-"));
        return true;
    }
    if (len >= sizeof digits) {
        return config_fail(scan->err, scan->file, scan->line, "this number is too long");
    }
    memcpy(digits, scan->at, len);
    digits[len] = '\0';
    errno = 0;
    long long value = strtoll(digits, NULL, hex ? 16 : 10);
    if (errno == ERANGE) {
        return config_fail(scan->err, scan->file, scan->line,
                           "%s is larger than any number can be", digits);
    }
    copy(scan, len + suffix);
    if (suffix == 0 && (value > INT_MAX || value < INT_MIN)) {
        buf_add(&scan->out, "L", 1);
    }
    return true;
}

/* One token of the text. */
static bool scan_token(struct scan *scan)
{
    unsigned char c = (unsigned char)*scan->at;
    bool sign = (c == '+' || c == '-') && left(scan) > 1 &&
                isdigit((unsigned char)scan->at[1]) != 0;

    if (c == '#' || looking_at(scan, "//")) {
        scan_line_comment(scan);
        return true;
    }
    if (looking_at(scan, "/*")) {
        return scan_block_comment(scan);
    }
    if (c == '"') {
        return scan_string(scan);
    }
    if (c == '@') {
        return config_fail(scan->err, scan->file, scan->line,
                           "@include is not supported: write everything in one file");
    }
    if (isdigit(c) != 0 || sign) {
        return scan_number(scan);
    }
    if (isalpha(c) != 0 || c == '*') {
        size_t n = 1;
        while (n < left(scan) && is_name_byte(scan->at[n])) {
            n++;
        }
        copy(scan, n);
        return true;
    }
    copy(scan, 1);
    return true;
}

static bool scan_next(struct scan *scan)
{
    const char *token = scan->at;
    bool is_blank = isspace((unsigned char)*token) != 0;
    bool is_comment = *token == '#' || looking_at(scan, "//") || looking_at(scan, "/*");

    if (!scan_token(scan)) {
        return false;
    }
    if (!is_blank && !is_comment) {
        scan->previous = scan->at[-1];
    }
    return true;
}

/* The text as libconfig shall see it, NUL-terminated; the caller frees. NULL on error. */
static char *widen_numbers(const char *text, size_t len, const char *file,
                           struct config_error *err)
{
    struct scan scan = {
        .at = text, .end = text + len, .line = 1, .file = file, .err = err};
    char *widened = NULL;

    buf_init(&scan.out, 2 * CONFIG_FILE_MAX_BYTES);
    while (left(&scan) > 0) {
        if (!scan_next(&scan)) {
            goto out;
        }
        if (scan.line > CONFIG_FILE_MAX_LINES) {
            config_fail(err, file, 0, "has more than %d lines", CONFIG_FILE_MAX_LINES);
            goto out;
        }
    }
    /* A final line feed: libconfig wants one after a comment. */
    buf_add(&scan.out, "\n", 1);
    widened = buf_detach(&scan.out, NULL);
    if (widened == NULL) {
        config_fail(err, file, 0, "out of memory");
    }
out:
    buf_clear(&scan.out);
    return widened;
}

bool config_file_parse(config_t *parsed, const char *text, size_t len, const char *file,
                       struct config_error *err)
{
    char *widened;
    bool ok;

    if (len > CONFIG_FILE_MAX_BYTES) {
        return config_fail(err, file, 0, "is larger than %zu bytes",
                           CONFIG_FILE_MAX_BYTES);
    }
    if (len > 0 && memchr(text, '\0', len) != NULL) {
        return config_fail(err, file, 0, "contains a NUL byte: it is no text file");
    }
    widened = widen_numbers(text, len, file, err);
    if (widened == NULL) {
        return false;
    }
    config_init(parsed);
    ok = config_read_string(parsed, widened) == CONFIG_TRUE;
    if (!ok) {
        config_fail(err, file, config_error_line(parsed), "%s%s",
                    config_error_text(parsed),
                    strcmp(config_error_text(parsed), "syntax error") == 0
                        ? "; an option is written: name = value;"
                        : "");
        config_destroy(parsed);
    }
    free(widened);
    return ok;
}

bool config_file_read(config_t *parsed, const char *file, struct config_error *err)
{
    struct file_text text;
    char why[FILE_WHY_BYTES];

    if (!file_read(file, FILE_ANY, CONFIG_FILE_MAX_BYTES, &text, why)) {
        return config_fail(err, file, 0, "%s", why);
    }
    bool ok = config_file_parse(parsed, text.data, text.len, file, err);
    file_text_release(&text);
    return ok;
}

bool config_file_integer(const config_setting_t *setting, int64_t *value)
{
    if (config_setting_type(setting) == CONFIG_TYPE_INT) {
        *value = config_setting_get_int(setting);
        return true;
    }
    if (config_setting_type(setting) == CONFIG_TYPE_INT64) {
        *value = config_setting_get_int64(setting);
        return true;
    }
    return false;
}

int config_file_line(const config_setting_t *setting)
{
    return (int)config_setting_source_line(setting);
}

const char *config_file_type(const config_setting_t *setting)
{
    switch (config_setting_type(setting)) {
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_INT64:
        return "a number";
    case CONFIG_TYPE_FLOAT:
        return "a number with a fraction";
    case CONFIG_TYPE_STRING:
        return "a text in quotes";
    case CONFIG_TYPE_BOOL:
        return "true or false";
    default:
        return "a group or list";
    }
}
