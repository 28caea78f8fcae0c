/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The table of errors.def, compiled. */
#include "server/request/error.h"

#include "shard/base/check.h"

static const struct error_info errors[ERROR__COUNT] = {
#define ERR(name, code, http, text) [ERROR_##name] = {#name, code, http, text},
#include "server/request/errors.def"
};

const struct error_info *error_info(enum error_code code)
{
    CHECK(code < ERROR__COUNT);
    return &errors[code];
}

static const enum error_code by_outcome[OUTCOME__COUNT] = {
#define ERR_OUTCOME(outcome, name) [OUTCOME_##outcome] = ERROR_##name,
#include "server/request/errors.def"
};

static const enum error_code by_upload[UPLOAD__COUNT] = {
#define ERR_UPLOAD(status, name) [UPLOAD_##status] = ERROR_##name,
#include "server/request/errors.def"
};

static const enum error_code by_media[MEDIA__COUNT] = {
#define ERR_MEDIA(status, name) [MEDIA_##status] = ERROR_##name,
#include "server/request/errors.def"
};

/* Every outcome and status must have its line. */
enum {
#define ERR_OUTCOME(outcome, name) HAS_OUTCOME_##outcome,
#include "server/request/errors.def"
    N_OUTCOMES
};
enum {
#define ERR_UPLOAD(status, name) HAS_UPLOAD_##status,
#include "server/request/errors.def"
    N_UPLOADS
};
enum {
#define ERR_MEDIA(status, name) HAS_MEDIA_##status,
#include "server/request/errors.def"
    N_MEDIA
};
_Static_assert((int)N_OUTCOMES == (int)OUTCOME__COUNT,
               "errors.def lacks an outcome of outcome.def");
_Static_assert((int)N_UPLOADS == (int)UPLOAD__COUNT, "errors.def lacks an upload_status");
_Static_assert((int)N_MEDIA == (int)MEDIA__COUNT, "errors.def lacks a media_status");

enum error_code error_from_outcome(enum outcome outcome)
{
    CHECK(outcome < OUTCOME__COUNT);
    return by_outcome[outcome];
}

enum error_code error_from_upload(enum upload_status status)
{
    CHECK(status < UPLOAD__COUNT);
    return by_upload[status];
}

enum error_code error_from_media(enum media_status status)
{
    CHECK(status < MEDIA__COUNT);
    return by_media[status];
}
