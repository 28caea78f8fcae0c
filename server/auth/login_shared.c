/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Failed logins at all servers, in Redis. */
#include "server/auth/login_shared.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "shard/base/clock.h"
#include "shard/base/hex.h"

#include "shard/rcluster.h"

#include "server/base/app.h"
#include "server/base/metrics.h"
#include "server/config/redis.h"

#define HOUR_MS INT64_C(3600000)

/* How long it is kept that an address knew the password, as in throttle.c: 30 days. */
#define KNOWN_MS "2592000000"

/* Bytes of the hash used in a key. */
#define ACCOUNT_BYTES 16

/* ---- Keys ---- */

/* False: the library failed. */
static bool hash_account(const struct throttle_try *attempt,
                         char text[2 * ACCOUNT_BYTES + 1])
{
    unsigned char kind = (unsigned char)attempt->kind;
    unsigned char digest[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    bool ok = hash != NULL && EVP_DigestInit_ex(hash, EVP_sha256(), NULL) == 1 &&
              EVP_DigestUpdate(hash, &kind, sizeof kind) == 1 &&
              EVP_DigestUpdate(hash, attempt->account, attempt->account_len) == 1 &&
              EVP_DigestFinal_ex(hash, digest, NULL) == 1;

    EVP_MD_CTX_free(hash);
    if (ok) {
        hex_encode(digest, ACCOUNT_BYTES, text);
    }
    return ok;
}

static void init_count(struct login_count *count, const char *owner, unsigned max)
{
    (void)snprintf(count->key, sizeof count->key, "ds:{%s}:f", owner);
    if (max > 0) {
        count->rule = gcra_at_most(max, HOUR_MS);
    }
}

void login_shared_init(struct login_shared *shared, const struct app *app,
                       const struct throttle_limits *limits,
                       const struct throttle_try *attempt)
{
    char account[2 + 2 * ACCOUNT_BYTES + 1] = "l:";
    char address[ADDRESS_TEXT_BYTES];

    *shared = (struct login_shared){.redis = NULL};
    if (app->redis == NULL || !hash_account(attempt, account + 2)) {
        return;
    }
    shared->redis = app->redis;
    shared->metrics = app->metrics;
    (void)address_text(address_network(attempt->address), address);
    (void)snprintf(shared->known_key, sizeof shared->known_key, "ds:{%s}:k:%s", account,
                   address);
    init_count(&shared->counts[0], account, limits->account_max);
    init_count(&shared->counts[1], address, limits->address_max);
}

/* ---- Commands ---- */

static bool add_exists(struct rbatch *batch, const char *key)
{
    const char *argv[] = {"EXISTS", key};

    return rbatch_add(batch, key, ARRAY_LEN(argv), argv, NULL);
}

static bool add_known(struct rbatch *batch, const char *key)
{
    const char *argv[] = {"SET", key, "1", "PX", KNOWN_MS};

    return rbatch_add(batch, key, ARRAY_LEN(argv), argv, NULL);
}

/* Run the N commands of BATCH, and count a failure. */
static void run(const struct login_shared *shared, struct rbatch *batch, size_t n)
{
    bool is_alone = false;

    rcluster_run(shared->redis, batch, clock_mono_ms() + REDIS_WAIT_MS);
    for (size_t i = 0; i < n; i++) {
        is_alone = is_alone || rbatch_status(batch, i) != RSTATUS_OK;
    }
    metrics_add(shared->metrics, METRIC_RATES_ALONE, is_alone);
}

bool login_shared_knows(const struct login_shared *shared)
{
    struct rbatch *batch = shared->redis == NULL ? NULL : rbatch_new(1);
    const struct rreply *reply = NULL;
    bool is_known = false;

    if (batch != NULL && add_exists(batch, shared->known_key)) {
        run(shared, batch, 1);
        reply = rbatch_status(batch, 0) == RSTATUS_OK ? rbatch_reply(batch, 0) : NULL;
        is_known = reply != NULL && reply->kind == RREPLY_INTEGER && reply->integer == 1;
    }
    rbatch_free(&batch);
    return is_known;
}

/* Add a take for each limit in force, *N of them. */
static bool add_takes(const struct login_shared *shared, struct rbatch *batch, size_t *n)
{
    bool ok = true;

    *n = 0;
    for (size_t i = 0; i < ARRAY_LEN(shared->counts) && ok; i++) {
        const struct login_count *count = &shared->counts[i];
        if (count->rule.burst > 0) {
            ok = gcra_add_take(batch, count->key, &count->rule);
            ++*n;
        }
    }
    return ok;
}

/* Read the answers of the takes: the longer wait in microseconds. */
static int64_t read_takes(struct login_shared *shared, const struct rbatch *batch)
{
    int64_t wait_us = 0;
    size_t n = 0;

    for (size_t i = 0; i < ARRAY_LEN(shared->counts); i++) {
        struct login_count *count = &shared->counts[i];
        int64_t us = 0;
        if (count->rule.burst > 0) {
            count->taken = gcra_taken(batch, n++, &us) && us == 0;
            wait_us = us > wait_us ? us : wait_us;
        }
    }
    return wait_us;
}

int64_t login_shared_enter(struct login_shared *shared)
{
    struct rbatch *batch =
        shared->redis == NULL ? NULL : rbatch_new(ARRAY_LEN(shared->counts));
    int64_t wait_us = 0;
    size_t n = 0;

    if (batch != NULL && add_takes(shared, batch, &n)) {
        run(shared, batch, n);
        wait_us = read_takes(shared, batch);
    }
    rbatch_free(&batch);
    if (wait_us > 0) { /* refused by one limit: the other one is not charged */
        login_shared_leave(shared, THROTTLE_UNKNOWN);
    }
    return (wait_us + 999) / 1000;
}

/* Add commands that give back what was taken, *N of them. A take without an answer is not
 * given back, because it may not have been done. */
static bool add_gives(struct login_shared *shared, struct rbatch *batch, size_t *n)
{
    bool ok = true;

    *n = 0;
    for (size_t i = 0; i < ARRAY_LEN(shared->counts) && ok; i++) {
        struct login_count *count = &shared->counts[i];
        if (count->taken) {
            count->taken = false;
            ok = gcra_add_give(batch, count->key, &count->rule);
            ++*n;
        }
    }
    return ok;
}

void login_shared_leave(struct login_shared *shared, enum throttle_end end)
{
    if (shared->redis == NULL || end == THROTTLE_WRONG) {
        return;
    }
    struct rbatch *batch = rbatch_new(ARRAY_LEN(shared->counts) + 1);
    size_t n = 0;
    bool ok = batch != NULL && add_gives(shared, batch, &n);
    if (ok && end == THROTTLE_RIGHT) {
        ok = add_known(batch, shared->known_key);
        n++;
    }
    if (ok && n > 0) {
        run(shared, batch, n);
    }
    rbatch_free(&batch);
}
