/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The multipart parser. */
#include "server/http/multipart.h"

#include <string.h>
#include <strings.h>

static const char *skip_space(const char *text)
{
    return text + strspn(text, " \t");
}

/* Copy the parameter value at TEXT, a token or a quoted string, to VALUE (at most SIZE -
 * 1 bytes; "" when it is longer). Returns what follows, or NULL when a quote is not
 * closed. */
static const char *read_value(const char *text, char *value, size_t size)
{
    bool quoted = *text == '"';
    size_t len = 0;

    text += quoted ? 1 : 0;
    while (quoted ? *text != '"' : strchr("; \t", *text) == NULL) {
        if (quoted && *text == '\\' && (text[1] == '"' || text[1] == '\\')) {
            text++;
        }
        if (*text == '\0') {
            return NULL; /* the quote is open; strchr() ends a token at the NUL, too */
        }
        if (len < size) {
            value[len] = *text;
        }
        len++;
        text++;
    }
    value[len < size ? len : 0] = '\0';
    return quoted ? text + 1 : text;
}

/* Find the parameter NAME after the first word of a field value. False: it is not there,
 * or malformed; VALUE is "" then. */
static bool find_parameter(const char *text, const char *name, char *value, size_t size)
{
    size_t name_len = strlen(name);

    text += strcspn(text, ";");
    while (text != NULL && *text == ';') {
        bool found;

        text = skip_space(text + 1);
        found = strncasecmp(text, name, name_len) == 0 && text[name_len] == '=';
        text += strcspn(text, "=;");
        if (*text != '=') {
            continue;
        }
        text = read_value(text + 1, value, size);
        if (found && text != NULL) {
            return value[0] != '\0';
        }
        text = text != NULL ? skip_space(text) : NULL;
    }
    value[0] = '\0';
    return false;
}

bool multipart_init(struct multipart *multipart, const char *content_type,
                    multipart_cb cb, void *cls)
{
    char boundary[MULTIPART_BOUNDARY_MAX + 1];

    memset(multipart, 0, sizeof *multipart);
    multipart->cb = cb;
    multipart->cls = cls;
    if (!find_parameter(content_type, "boundary", boundary, sizeof boundary) ||
        strpbrk(boundary, "\r\n") != NULL) {
        return false;
    }
    multipart->delimiter_len = 4 + strlen(boundary);
    memcpy(multipart->delimiter, "\r\n--", 4);
    memcpy(multipart->delimiter + 4, boundary, strlen(boundary));
    multipart->n_matched = 2; /* the body begins as if a line had just ended */
    return true;
}

/* The field NAME of the part's header, which ends with an empty line; NULL: there is
 * none. Lines are ended by NUL. */
static const char *find_field(const struct multipart *multipart, const char *name)
{
    const char *line = multipart->head;
    const char *end = multipart->head + multipart->head_len;
    size_t len = strlen(name);

    while (line < end) {
        if (strncasecmp(line, name, len) == 0 && line[len] == ':') {
            return skip_space(line + len + 1);
        }
        line += strlen(line) + 2; /* CR LF became two NUL */
    }
    return NULL;
}

/* The header of a part is complete: read its name. */
static void begin_part(struct multipart *multipart)
{
    const char *field;

    for (char *c = multipart->head; (c = strstr(c, "\r\n")) != NULL; c += 2) {
        c[0] = '\0';
        c[1] = '\0';
    }
    field = find_field(multipart, "Content-Disposition");
    multipart->name[0] = '\0';
    if (field != NULL && strncasecmp(field, "form-data", strlen("form-data")) == 0 &&
        find_parameter(field, "name", multipart->name, sizeof multipart->name)) {
        multipart->cb(multipart->cls, multipart->name, true, "", 0);
    }
    multipart->head_len = 0;
    multipart->state = MULTIPART_DATA;
}

/* One byte of a part's header. False: it is malformed or too long. */
static bool add_head(struct multipart *multipart, char c)
{
    size_t len = multipart->head_len;

    if (len == MULTIPART_HEAD_MAX || c == '\0' ||
        (c == '\n' && (len == 0 || multipart->head[len - 1] != '\r'))) {
        return false;
    }
    multipart->head[len++] = c;
    multipart->head[len] = '\0';
    multipart->head_len = len;
    if (c == '\n' && (len == 2 || (len >= 4 && multipart->head[len - 3] == '\n'))) {
        begin_part(multipart);
    }
    return true;
}

/* One byte after a boundary. False: it is malformed. */
static bool add_tail(struct multipart *multipart, char c)
{
    char last = multipart->tail;

    multipart->tail = c;
    if (last == '-' && c == '-') {
        multipart->state = MULTIPART_DONE;
        return true;
    }
    if (last == '\r' && c == '\n') {
        multipart->head_len = 0;
        multipart->state = MULTIPART_HEAD;
        return true;
    }
    if (last == '-' || last == '\r') {
        return false;
    }
    return c == ' ' || c == '\t' || c == '\r' || (c == '-' && last == '\0');
}

static void give(struct multipart *multipart, const char *data, size_t len)
{
    if (multipart->state == MULTIPART_DATA && len > 0 && multipart->name[0] != '\0') {
        multipart->cb(multipart->cls, multipart->name, false, data, len);
    }
}

/* Take data up to the next delimiter. Returns how many bytes were used. CR is only the
 * first byte of a delimiter, so after a failed match a new one can only begin at the byte
 * that failed. */
static size_t add_data(struct multipart *multipart, const char *data, size_t len)
{
    size_t used = 0;

    while (used < len) {
        if (multipart->n_matched == 0) {
            const char *cr = memchr(data + used, '\r', len - used);
            size_t n = cr != NULL ? (size_t)(cr - (data + used)) : len - used;

            give(multipart, data + used, n);
            used += n;
            if (cr == NULL) {
                break;
            }
        }
        if (data[used] == multipart->delimiter[multipart->n_matched]) {
            used++;
            if (++multipart->n_matched == multipart->delimiter_len) {
                multipart->n_matched = 0;
                multipart->tail = '\0';
                multipart->state = MULTIPART_TAIL;
                break;
            }
        } else {
            give(multipart, multipart->delimiter, multipart->n_matched);
            multipart->n_matched = 0;
            if (data[used] != '\r') {
                give(multipart, data + used, 1);
                used++;
            }
        }
    }
    return used;
}

bool multipart_add(struct multipart *multipart, const char *data, size_t len)
{
    size_t pos = 0;
    bool ok = multipart->state != MULTIPART_BROKEN;

    while (ok && pos < len) {
        switch (multipart->state) {
        case MULTIPART_PREAMBLE:
        case MULTIPART_DATA:
            pos += add_data(multipart, data + pos, len - pos);
            break;
        case MULTIPART_TAIL:
            ok = add_tail(multipart, data[pos++]);
            break;
        case MULTIPART_HEAD:
            ok = add_head(multipart, data[pos++]);
            break;
        case MULTIPART_DONE:
            pos = len;
            break;
        case MULTIPART_BROKEN:
            ok = false;
            break;
        }
    }
    if (!ok) {
        multipart->state = MULTIPART_BROKEN;
    }
    return ok;
}

bool multipart_is_complete(const struct multipart *multipart)
{
    return multipart->state == MULTIPART_DONE;
}
