/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Idempotency keys: one key names one request for a day. */
#include "server/request/claim.h"

#include <openssl/evp.h>
#include <string.h>

#include "shard/idem.h"

#include "server/base/app.h"
#include "server/request/request.h"
#include "server/request/route.h"

bool claim_is_key(const char *key)
{
    size_t len = strlen(key);

    for (size_t i = 0; i < len; i++) {
        if (key[i] < '!' || key[i] > '~') {
            return false;
        }
    }
    return len >= 1 && len <= REQUEST_KEY_MAX;
}

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

/* The SHA-256 of the request's route, parameters and file. */
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

/* The op of the write, from the key's OP and the time of its first use: rows keep the op
 * that made them for ever, and a key that is used again after a day counts as new. */
static bool date_op(unsigned char op[OP_BYTES], int64_t created_at_ms)
{
    static const char domain[] = "doushard: op of a claimed key";
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned char time[8];
    EVP_MD_CTX *hash = EVP_MD_CTX_new();

    for (size_t i = 0; i < sizeof time; i++) {
        time[i] = (unsigned char)((uint64_t)created_at_ms >> (8 * (7 - i)));
    }
    bool ok = hash != NULL && EVP_DigestInit_ex(hash, EVP_sha256(), NULL) == 1 &&
              EVP_DigestUpdate(hash, domain, sizeof domain) == 1 &&
              EVP_DigestUpdate(hash, op, OP_BYTES) == 1 &&
              EVP_DigestUpdate(hash, time, sizeof time) == 1 &&
              EVP_DigestFinal_ex(hash, digest, NULL) == 1;
    EVP_MD_CTX_free(hash);
    if (ok) {
        memcpy(op, digest, OP_BYTES);
    }
    return ok;
}

bool claim_op(struct request *req, unsigned char op[OP_BYTES])
{
    unsigned char body[IDEM_BODY_BYTES];
    int64_t created_at_ms = 0;
    enum outcome outcome;

    request_op(req, op);
    if (req->idempotency_key == NULL) {
        return true;
    }
    if (!hash_body(req, body)) {
        reply_error(req, ERROR_UNAVAILABLE, NULL);
        return false;
    }
    outcome = idem_claim(req->app->router, &req->call, op, body, &created_at_ms);
    if (outcome != OUTCOME_OK && outcome != OUTCOME_SAME) {
        reply_outcome(req, outcome);
        return false;
    }
    if (!date_op(op, created_at_ms)) {
        reply_error(req, ERROR_UNAVAILABLE, NULL);
        return false;
    }
    return true;
}
