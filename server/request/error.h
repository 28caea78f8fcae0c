/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* All answers to a client; the list is errors.def. */
#ifndef DOUSHARD_REQUEST_ERROR_H
#define DOUSHARD_REQUEST_ERROR_H

#include "shard/outcome.h"

#include "server/media/media.h"
#include "server/media/upload.h"

enum error_code {
#define ERR(name, code, http, text) ERROR_##name,
#include "server/request/errors.def"
    ERROR__COUNT
};

/* One row of errors.def. Static storage. */
struct error_info {
    const char *name; /* "NAME_TAKEN" */
    int code;         /* status_code of the envelope */
    unsigned http;    /* HTTP status */
    const char *text; /* status_msg, never empty */
};

/* Never NULL; CODE must be below ERROR__COUNT. */
const struct error_info *error_info(enum error_code code);

/* The answer for the outcome of a call on a shard. ERROR_OK for OK and SAME. */
enum error_code error_from_outcome(enum outcome outcome);

/* The answer for the status of receiving or examining a file; the status has its own,
 * more exact text. */
enum error_code error_from_upload(enum upload_status status);
enum error_code error_from_media(enum media_status status);

#endif
