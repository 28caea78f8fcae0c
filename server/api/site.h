/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* GET and HEAD of files built into the program: the client page, the API page, default
 * pictures. They come from server/api/site/ and server/web/dist/, each served under its
 * path there, and make puts them into the program (scripts/embed), also compressed. The
 * handler is h_site_get() (handlers.h). */
#ifndef DOUSHARD_API_SITE_H
#define DOUSHARD_API_SITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One form of a file. All of it lives for ever. */
struct site_form {
    const char *bytes; /* NULL: there is no such form */
    uint64_t size;
    const char *etag; /* strong; differs by contents and form */
};

struct site_file {
    const char *url; /* "/" or "/web/app-3f2a.js" */
    const char *content_type;
    struct site_form plain;
    struct site_form gzip;
};

/* The files, *N of them, sorted by url. Written by scripts/embed. */
const struct site_file *site_table(size_t *n);

/* Does Accept-Encoding with this value (NULL: absent) allow gzip? Pure.
 */
bool site_takes_gzip(const char *accept_encoding);

#endif
