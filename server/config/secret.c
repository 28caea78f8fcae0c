/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Files that hold a secret. */
#include "server/config/secret.h"

#include <string.h>

#include "shard/base/file.h"

#include "server/config/config_file.h"

/* Limit of the file, including what follows the first line. */
#define FILE_MAX_BYTES ((size_t)64 << 10)

/* The first line of TEXT, without its end. */
static size_t line_len(const struct file_text *text)
{
    const char *eol = memchr(text->data, '\n', text->len);
    size_t len = eol != NULL ? (size_t)(eol - text->data) : text->len;

    return len > 0 && text->data[len - 1] == '\r' ? len - 1 : len;
}

bool secret_read(const char *file, char *secret, size_t size, struct errmsg *err)
{
    struct file_text text;
    struct errmsg why;
    bool ok = false;

    secret[0] = '\0';
    if (file[0] == '\0') {
        return true;
    }
    if (!file_read(file, FILE_SECRET, FILE_MAX_BYTES, &text, &why)) {
        return config_fail(err, file, 0, "%s", why.text);
    }
    size_t len = line_len(&text);
    if (len == 0) {
        config_fail(err, file, 0,
                    "its first line is empty: write the secret there, or name no file if "
                    "there is none");
    } else if (len >= size || memchr(text.data, '\0', len) != NULL) {
        config_fail(err, file, 0,
                    "the first line is not a secret: at most %zu bytes of text",
                    size - 1);
    } else {
        memcpy(secret, text.data, len);
        secret[len] = '\0';
        ok = true;
    }
    file_text_release(&text);
    return ok;
}
