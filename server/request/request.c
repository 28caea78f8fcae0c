/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Life of a request, and the operation id of its write. */
#include "server/request/request.h"

#include <openssl/evp.h>
#include <stdatomic.h>
#include <string.h>

#include "shard/base/clock.h"
#include "shard/base/hex.h"
#include "shard/base/log.h"
#include "shard/base/rnd.h"

#include "server/base/app.h"
#include "server/base/client.h"
#include "server/config/config.h"
#include "server/request/route.h"

void request_init(struct request *req, struct app *app, int64_t start_ms)
{
    unsigned char id[8];

    memset(req, 0, offsetof(struct request, reply));
    req->app = app;
    req->path_rest = "";
    rnd_name(id, sizeof id);
    hex_encode(id, sizeof id, req->id);
    arena_init(&req->arena, REQUEST_ARENA_BYTES);
    params_init(&req->params, &req->arena, NULL);
    reply_init(&req->reply);
    call_init(&req->call, &req->arena, start_ms);
}

void request_release(struct request *req)
{
    upload_free(&req->upload);
    upload_free(&req->second_upload);
    reply_release(&req->reply);
    arena_release(&req->arena);
}

void request_set_route(struct request *req, const struct route *route,
                       const char *path_rest)
{
    req->route = route;
    req->path_rest = path_rest;
    params_init(&req->params, &req->arena, route->params);
}

void request_set_deadline(struct request *req, int64_t deadline_ms)
{
    req->deadline_ms = deadline_ms;
    call_init(&req->call, &req->arena, deadline_ms);
}

/* Behind a proxy that trusted_proxies does not name, all clients seem to be one. Warned
 * once, because clients can send the header, too. */
static void warn_of_proxy(const struct request *req, const char *proxies)
{
    static atomic_flag said = ATOMIC_FLAG_INIT;
    char peer[ADDRESS_TEXT_BYTES];

    if (req->headers.forwarded_for == NULL || proxies[0] != '\0' ||
        atomic_flag_test_and_set(&said)) {
        return;
    }
    log_write(
        LOG_WARN, "proxy_not_trusted",
        "peer=%s detail=\"X-Forwarded-For is ignored: if this is your proxy, name it "
        "in trusted_proxies\"",
        address_text(req->peer, peer));
}

struct address request_client(const struct request *req)
{
    const char *proxies = app_config(req->app)->trusted_proxies;

    warn_of_proxy(req, proxies);
    return client_behind(req->peer, req->headers.forwarded_for, proxies);
}

int64_t request_left_ms(const struct request *req)
{
    int64_t left = req->deadline_ms - clock_mono_ms();

    return left > 0 ? left : 0;
}

void request_op(const struct request *req, unsigned char op[OP_BYTES])
{
    unsigned char input[8 + REQUEST_KEY_MAX];
    unsigned char digest[EVP_MAX_MD_SIZE];
    size_t key_len;

    if (req->idempotency_key == NULL) {
        rnd_bytes(op, OP_BYTES);
        return;
    }
    key_len = strlen(req->idempotency_key);
    CHECK(key_len <= REQUEST_KEY_MAX);
    for (size_t i = 0; i < 8; i++) {
        input[i] = (unsigned char)(req->who.user_id >> (8 * (7 - i)));
    }
    memcpy(input + 8, req->idempotency_key, key_len);
    CHECK(EVP_Digest(input, 8 + key_len, digest, NULL, EVP_sha256(), NULL) == 1);
    memcpy(op, digest, OP_BYTES);
}

const struct param *request_param(const struct request *req, const char *name)
{
    return params_get(&req->params, name);
}

size_t request_limit(const struct request *req)
{
    const struct param *limit = request_param(req, "limit");
    int most = app_config(req->app)->list_limit;

    return (size_t)(limit->present && limit->integer < most ? limit->integer : most);
}

uint64_t request_user(const struct request *req)
{
    const struct param *user = request_param(req, "user_id");

    return user->present ? (uint64_t)user->integer : req->who.user_id;
}
