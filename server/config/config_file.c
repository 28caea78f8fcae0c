/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* libconfig files, read so that no number is wrapped and every error has a line.
 *
 * The text is checked before libconfig 1.5 parses it, for what libconfig accepts
 * silently: it reads 4294967376 as 80, swallows everything after a comment or string
 * without an end, and leaks a string in a wrong place. @include is refused, because an
 * included file would not be checked and errors in it would name the wrong file. */
#include "server/config/config_file.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/base/file.h"

#define BLANKS " \t\r\n\f\v"

/* Bytes of names; a number may be only the beginning of a word. */
#define WORD_BYTES "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-*"

bool config_fail(struct errmsg *err, const char *file, int line, const char *fmt, ...)
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

bool config_told(struct config_report *report, const struct errmsg *err)
{
    if (report != NULL) {
        report->n_errors++;
        (void)fprintf(report->out, "%s%s\n", report->prefix, err->text);
    }
    return report != NULL;
}

/* One pass over a text that libconfig will read. */
struct scan {
    const char *at;
    int line;
    char previous;      /* last byte of the token before, 0 at the start */
    const char *file;   /* (ref) for errors */
    struct errmsg *err; /* (ref) */
};

/* Skip N bytes, counting lines. */
static void skip(struct scan *scan, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        scan->line += scan->at[i] == '\n';
    }
    scan->at += n;
}

static bool looking_at(const struct scan *scan, const char *text)
{
    return strncmp(scan->at, text, strlen(text)) == 0;
}

static bool scan_block_comment(struct scan *scan)
{
    const char *close = strstr(scan->at + 2, "*/");

    if (close == NULL) {
        return config_fail(scan->err, scan->file, scan->line,
                           "this comment has no end; close it with */");
    }
    skip(scan, (size_t)(close + 2 - scan->at));
    return true;
}

static bool scan_string(struct scan *scan)
{
    const char *end = scan->at + 1;

    if (scan->previous == '\0' || strchr("=:([,\"", scan->previous) == NULL) {
        return config_fail(scan->err, scan->file, scan->line,
                           "a text cannot stand here; an option is written: name = "
                           "value;");
    }
    while (*end != '"' && *end != '\n') {
        end += *end == '\\' && end[1] != '\n' ? 2 : 1;
    }
    if (*end == '\n') {
        return config_fail(scan->err, scan->file, scan->line,
                           "this text has no end; close it with \" on the same line");
    }
    skip(scan, (size_t)(end + 1 - scan->at));
    return true;
}

/* A number without its sign: an integer must fit, a fraction may have any value. */
static bool scan_number(struct scan *scan)
{
    const bool is_hex = looking_at(scan, "0x") || looking_at(scan, "0X");
    const int shown = (int)strspn(scan->at, WORD_BYTES);
    char *end;

    errno = 0;
    const long long value = strtoll(scan->at, &end, is_hex ? 16 : 10);
    if (!is_hex && *end != '\0' && strchr(".eE", *end) != NULL) {
        skip(scan, strspn(scan->at, "0123456789.eE+-"));
        return true;
    }
    const size_t suffix = strspn(end, "L");
    if (errno == ERANGE || (suffix == 0 && value > INT_MAX)) {
        return config_fail(scan->err, scan->file, scan->line,
                           "%.*s is larger than a number can be; a size is written with "
                           "its unit: \"4G\"",
                           shown, scan->at);
    }
    end += suffix;
    if (isalpha((unsigned char)*end) != 0) {
        return config_fail(scan->err, scan->file, scan->line,
                           "%.*s is not a number; with a unit it is written in quotes: "
                           "\"%.*s\"",
                           shown, scan->at, shown, scan->at);
    }
    skip(scan, (size_t)(end - scan->at));
    return true;
}

/* One token that is neither blank nor comment. */
static bool scan_token(struct scan *scan)
{
    if (*scan->at == '"') {
        return scan_string(scan);
    }
    if (*scan->at == '@') {
        return config_fail(scan->err, scan->file, scan->line,
                           "@include is not supported: write everything in one file");
    }
    if (isdigit((unsigned char)*scan->at) != 0) {
        return scan_number(scan);
    }
    const bool is_word = isalpha((unsigned char)*scan->at) != 0 || *scan->at == '*';
    skip(scan, is_word ? strspn(scan->at, WORD_BYTES) : 1);
    return true;
}

static bool scan_next(struct scan *scan)
{
    const size_t blanks = strspn(scan->at, BLANKS);

    if (blanks > 0) {
        skip(scan, blanks);
        return true;
    }
    if (*scan->at == '#' || looking_at(scan, "//")) {
        skip(scan, strcspn(scan->at, "\n"));
        return true;
    }
    if (looking_at(scan, "/*")) {
        return scan_block_comment(scan);
    }
    if (!scan_token(scan)) {
        return false;
    }
    scan->previous = scan->at[-1];
    return true;
}

/* Find what libconfig would not say. TEXT ends with a line feed. */
static bool check_text(const char *text, const char *file, struct errmsg *err)
{
    struct scan scan = {.at = text, .line = 1, .file = file, .err = err};

    while (*scan.at != '\0') {
        if (!scan_next(&scan)) {
            return false;
        }
    }
    return true;
}

static bool parse(config_t *parsed, const char *text, const char *file,
                  struct errmsg *err)
{
    config_init(parsed);
    if (config_read_string(parsed, text) == CONFIG_TRUE) {
        return true;
    }
    config_fail(err, file, config_error_line(parsed), "%s%s", config_error_text(parsed),
                strcmp(config_error_text(parsed), "syntax error") == 0
                    ? "; an option is written: name = value;"
                    : "");
    config_destroy(parsed);
    return false;
}

bool config_file_parse(config_t *parsed, const char *text, size_t len, const char *file,
                       struct errmsg *err)
{
    char *copy;

    if (len > CONFIG_FILE_MAX_BYTES) {
        return config_fail(err, file, 0, "is larger than %zu bytes",
                           CONFIG_FILE_MAX_BYTES);
    }
    if (len > 0 && memchr(text, '\0', len) != NULL) {
        return config_fail(err, file, 0, "contains a NUL byte: it is not a text file");
    }
    /* A final line feed: libconfig wants one after a comment. */
    if (asprintf(&copy, "%.*s\n", (int)len, text) < 0) {
        return config_fail(err, file, 0, "out of memory");
    }
    bool ok = check_text(copy, file, err) && parse(parsed, copy, file, err);
    free(copy);
    return ok;
}

bool config_file_read(config_t *parsed, const char *file, struct errmsg *err)
{
    struct file_text text;
    struct errmsg why;

    if (!file_read(file, FILE_ANY, CONFIG_FILE_MAX_BYTES, &text, &why)) {
        return config_fail(err, file, 0, "%s", why.text);
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
