/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Idempotency keys: one key names one request for a day. */
#include "server/claim.h"

#include <openssl/evp.h>
#include <string.h>

#include "shard/idem.h"

#include "server/app.h"
#include "server/request.h"
#include "server/routes.h"

/* Lengths go first, so that no two requests look alike. */
static bool add_bytes(EVP_MD_CTX *hash, const void *data, uint64_t len)
{
    return EVP_DigestUpdate(hash, &len, sizeof len) == 1 &&
           EVP_DigestUpdate(hash, data, (size_t)len) == 1;
}

static bool add_param(EVP_MD_CTX *hash, const struct param_spec *spec,
                      const struct param *value)
{
    bool is_number =
        spec->type == PARAM_ID || spec->type == PARAM_INT || spec->type == PARAM_TIME;

    if (!value->present || spec->type == PARAM_TOKEN || spec->type == PARAM_FILE ||
        (spec->flags & PARAM_SECRET) != 0) {
        return true;
    }
    return add_bytes(hash, spec->name, strlen(spec->name)) &&
           (is_number ? add_bytes(hash, &value->integer, sizeof value->integer)
                      : add_bytes(hash, value->text, value->len));
}

/* SHA-256 of what the request asks for. */
static bool hash_body(const struct request *req, unsigned char body[IDEM_BODY_BYTES])
{
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    const char *path = req->route->path;
    bool ok = hash != NULL && EVP_DigestInit_ex(hash, EVP_sha256(), NULL) == 1 &&
              add_bytes(hash, path, strlen(path));

    for (size_t i = 0; ok && i < req->params.n; i++) {
        ok = add_param(hash, &req->params.specs[i], &req->params.values[i]);
    }
    if (ok && req->upload != NULL) {
        ok = add_bytes(hash, upload_sha256(req->upload), UPLOAD_SHA256_BYTES);
    }
    ok = ok && EVP_DigestFinal_ex(hash, body, NULL) == 1;
    EVP_MD_CTX_free(hash);
    return ok;
}

bool claim_op(struct request *req, unsigned char op[OP_BYTES])
{
    unsigned char body[IDEM_BODY_BYTES];
    enum outcome outcome;

    request_op(req, op);
    if (req->idempotency_key == NULL) {
        return true;
    }
    if (!hash_body(req, body)) {
        reply_error(req, ERROR_UNAVAILABLE, NULL);
        return false;
    }
    outcome = idem_claim(req->app->router, &req->call, op, body);
    if (outcome == OUTCOME_OK || outcome == OUTCOME_SAME) {
        return true;
    }
    reply_outcome(req, outcome);
    return false;
}
