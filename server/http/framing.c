/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Checking how a request is framed. */
#include "server/http/framing.h"

#include <microhttpd.h>
#include <string.h>
#include <strings.h>

#include "shard/base/hex.h"

/* No sensible length is as large as this. */
#define LENGTH_LIMIT (UINT64_C(1) << 53)

static void refuse(struct framing *framing, enum framing_verdict verdict,
                   const char *reason)
{
    if (framing->verdict == FRAMING_OK) {
        framing->verdict = verdict;
        framing->reason = reason;
        framing->must_close = true;
    }
}

static void bad(struct framing *framing, const char *reason)
{
    refuse(framing, FRAMING_BAD, reason);
}

static bool is_control(char c)
{
    return (unsigned char)c < ' ' || c == 0x7F;
}

/* RFC 9110's token. */
static bool is_token(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        bool alnum =
            (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');

        if (!alnum && (c == '\0' || strchr("!#$%&'*+-.^_`|~", c) == NULL)) {
            return false;
        }
    }
    return len > 0;
}

/* Set where the next line has to begin: BYTES after TEXT. */
static void expect_after(struct framing *framing, const char *text, size_t bytes)
{
    framing->end = text + bytes;
}

void framing_begin(struct framing *framing, const char *method,
                   const struct framing_target *target, const char *version)
{
    size_t method_len = strlen(method);
    size_t version_len = strlen(version);
    const char *query;

    memset(framing, 0, sizeof *framing);
    framing->method = method;
    framing->target = target->text;
    framing->target_len = strlen(framing->target);
    framing->is_http11 = strcmp(version, "HTTP/1.0") != 0;
    if (!is_token(method, method_len)) {
        bad(framing, "the method is malformed");
        return;
    }
    if (framing->target_len == 0 || target->at != method + method_len + 1 ||
        version != target->at + framing->target_len + 1) {
        bad(framing, "the request line is malformed");
        return;
    }
    query = strchr(target->text, '?');
    for (const char *c = target->text; *c != '\0'; c++) {
        if (is_control(*c)) {
            bad(framing, "the request target contains a control byte");
            return;
        }
        if (*c == ' ') {
            /* Old clients do not encode spaces in the query. */
            if (query == NULL || c < query) {
                bad(framing, "the path contains a space");
                return;
            }
            framing->must_close = true;
        }
    }
    expect_after(framing, version, version_len + 2);
}

/* Trim white space around a value. */
static void trim(const char **value, size_t *len)
{
    while (*len > 0 && ((*value)[0] == ' ' || (*value)[0] == '\t')) {
        (*value)++;
        (*len)--;
    }
    while (*len > 0 && ((*value)[*len - 1] == ' ' || (*value)[*len - 1] == '\t')) {
        (*len)--;
    }
}

bool framing_parse_length(const char *text, size_t len, uint64_t *length)
{
    *length = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned digit = (unsigned)(text[i] - '0');

        *length = *length * 10 + digit;
        if (digit > 9 || *length >= LENGTH_LIMIT) {
            return false;
        }
    }
    return len > 0;
}

static void check_length(struct framing *framing, const char *value, size_t len)
{
    framing->n_length++;
    if (!framing_parse_length(value, len, &framing->content_length)) {
        bad(framing, "Content-Length is malformed");
    } else if (framing->n_length > 1) {
        bad(framing, "several Content-Length");
    }
}

/* The library knows the coding "chunked" only in exactly this form; with any other it
 * waits for a body that never ends. */
static void check_encoding(struct framing *framing, const char *value, size_t len)
{
    framing->n_encoding++;
    if (framing->n_encoding > 1) {
        bad(framing, "several Transfer-Encoding");
    } else if (!framing->is_http11) {
        bad(framing, "Transfer-Encoding in HTTP/1.0");
    } else if (len != strlen("chunked") || strncasecmp(value, "chunked", len) != 0) {
        refuse(framing, FRAMING_UNSUPPORTED, "Transfer-Encoding other than chunked");
    }
    framing->chunked = true;
}

static void check_host(struct framing *framing, const char *value, size_t len)
{
    framing->n_host++;
    if (framing->n_host > 1) {
        bad(framing, "several Host");
    }
    for (size_t i = 0; i < len; i++) {
        if (is_control(value[i]) || strchr(" ,/@?#\\", value[i]) != NULL) {
            bad(framing, "Host is malformed");
            return;
        }
    }
}

static bool is_name(const char *name, size_t len, const char *expected)
{
    return len == strlen(expected) && strncasecmp(name, expected, len) == 0;
}

void framing_header(struct framing *framing, const char *name, size_t name_len,
                    const char *value, size_t value_len)
{
    const char *text = value;
    size_t text_len = value_len;

    if (framing->verdict != FRAMING_OK) {
        return;
    }
    if (!is_token(name, name_len)) {
        bad(framing, "a header name is malformed");
        return;
    }
    for (size_t i = 0; i < value_len; i++) {
        if (is_control(value[i]) && value[i] != '\t') {
            bad(framing, "a header value contains a control byte");
            return;
        }
    }
    if (name != framing->end || value < name + name_len + 1) {
        bad(framing, "a line is folded, contains NUL, or ends without CR LF");
        return;
    }
    expect_after(framing, value, value_len + 2);
    trim(&text, &text_len);
    if (is_name(name, name_len, "Content-Length")) {
        check_length(framing, text, text_len);
    } else if (is_name(name, name_len, "Transfer-Encoding")) {
        check_encoding(framing, value, value_len);
    } else if (is_name(name, name_len, "Host")) {
        check_host(framing, text, text_len);
    }
}

/* Does the header end with two CR LF, which are NUL by now? Otherwise the library took
 * another line for the empty one, and the line before it ended with LF alone. */
static bool ends_with_empty_line(const struct framing *framing, size_t header_size)
{
    static const char ends[4];

    return framing->end + 2 == framing->method + header_size &&
           memcmp(framing->end - 2, ends, sizeof ends) == 0;
}

void framing_end(struct framing *framing, size_t header_size)
{
    if (framing->verdict != FRAMING_OK) {
        return;
    }
    if (!ends_with_empty_line(framing, header_size)) {
        bad(framing, "a line is folded, contains NUL, or ends without CR LF");
    } else if (framing->n_length > 0 && framing->n_encoding > 0) {
        bad(framing, "Content-Length together with Transfer-Encoding");
    } else if (framing->is_http11 && framing->n_host == 0) {
        bad(framing, "no Host");
    }
    /* The library decides where chunks end, and is lenient about it. */
    framing->must_close = framing->must_close || framing->chunked;
}

static enum MHD_Result header_cb(void *cls, enum MHD_ValueKind kind, const char *name,
                                 size_t name_len, const char *value, size_t value_len)
{
    (void)kind;
    framing_header(cls, name, name_len, value != NULL ? value : "", value_len);
    return MHD_YES;
}

void framing_check(struct framing *framing, struct MHD_Connection *connection,
                   const char *method, const struct framing_target *target,
                   const char *version)
{
    const union MHD_ConnectionInfo *info;

    framing_begin(framing, method, target, version);
    (void)MHD_get_connection_values_n(connection, MHD_HEADER_KIND, header_cb, framing);
    info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    framing_end(framing, info != NULL ? info->header_size : 0);
}

/* The target without "http://host", which every server has to accept. */
static const char *skip_authority(const char *target)
{
    static const char *const schemes[] = {"http://", "https://"};

    for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
        size_t len = strlen(schemes[i]);

        if (strncasecmp(target, schemes[i], len) == 0) {
            target += len;
            return target + strcspn(target, "/?");
        }
    }
    return target;
}

const char *framing_path(const struct framing *framing, struct arena *arena,
                         const char **reason)
{
    const char *target = skip_authority(framing->target);
    size_t len = strcspn(target, "?");
    size_t out = 0;
    char *path;

    *reason = NULL;
    if (len == 0 && target != framing->target) {
        return "/"; /* "http://host" means the path "/" */
    }
    if (target[0] != '/') {
        *reason = "the request target is not a path";
        return NULL;
    }
    path = arena_strndup(arena, target, len);
    if (path == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < len; i++) {
        char c = path[i];

        if (hex_escape(path + i, len - i, &c)) {
            i += 2;
        }
        if (is_control(c)) {
            *reason = "the path contains a control byte";
            return NULL;
        }
        path[out++] = c;
    }
    path[out] = '\0';
    return path;
}
