/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Rate limits: a set-associative table under one lock, and what Redis says. */
#include "server/auth/rate.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/base/address.h"
#include "shard/base/clock.h"
#include "shard/base/log.h"

#include "shard/rcluster.h"

#include "server/auth/tag.h"
#include "server/base/app.h"
#include "server/base/metrics.h"
#include "server/config/config.h"
#include "server/config/redis.h"
#include "server/request/request.h"

#define WAYS 8
#define SETS 32768 /* 262144 cells, 4 MiB when all are used */

#define MINUTE_MS 60000
#define HOUR_MS   3600000

/* The wait when memory for counting is out. */
#define UNCOUNTED_US 1000000

struct cell {
    uint64_t tag; /* 0: free */
    int64_t until_us;
};

struct rate {
    struct tagger tagger;
    struct {
        pthread_mutex_t mutex;
        struct cell *cells; /* owned; SETS * WAYS */
    } shared;
};

static const struct row {
    const char *text;
    enum rate_subject subject;
    int period_ms;
} rows[RATE__COUNT] = {
#define RATE(name, text_, subject_, option, period)                                      \
    [RATE_##name] = {                                                                    \
        .text = (text_), .subject = RATE_OF_##subject_, .period_ms = period##_MS},
#include "server/request/rate.def"
};

/* The limit in the options; 0 is no limit. */
static int limit_of(const struct config *config, enum rate_action action)
{
    switch (action) {
#define RATE(name, text, subject, option, period)                                        \
    case RATE_##name:                                                                    \
        return config->option;
#include "server/request/rate.def"
    case RATE_NONE:
    case RATE__COUNT:
        break;
    }
    return 0;
}

enum rate_subject rate_subject(enum rate_action action)
{
    return rows[action].subject;
}

struct rate *rate_new(void)
{
    struct rate *rate = calloc(1, sizeof *rate);

    if (rate == NULL) {
        return NULL;
    }
    gcra_init();
    rate->shared.cells = calloc((size_t)SETS * WAYS, sizeof(struct cell));
    CHECK(pthread_mutex_init(&rate->shared.mutex, NULL) == 0);
    if (!tagger_init(&rate->tagger) || rate->shared.cells == NULL) {
        rate_free(&rate);
    }
    return rate;
}

void rate_free(struct rate **rate)
{
    if (*rate != NULL) {
        tagger_release(&(*rate)->tagger);
        pthread_mutex_destroy(&(*rate)->shared.mutex);
        free((*rate)->shared.cells);
        free(*rate);
        *rate = NULL;
    }
}

/* ---- The count of this process ---- */

/* The cell of TAG; NULL: none. */
static struct cell *find_locked(struct rate *rate, uint64_t tag)
{
    struct cell *set = &rate->shared.cells[tag % SETS * WAYS];

    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].tag == tag) {
            return &set[i];
        }
    }
    return NULL;
}

/* The cell of TAG, if need be taken from the one with the shortest wait. */
static struct cell *claim_locked(struct rate *rate, uint64_t tag)
{
    struct cell *set = &rate->shared.cells[tag % SETS * WAYS];
    struct cell *found = find_locked(rate, tag);

    if (found == NULL) {
        found = set;
        for (size_t i = 1; i < WAYS; i++) {
            found = set[i].until_us < found->until_us ? &set[i] : found;
        }
        *found = (struct cell){.tag = tag};
    }
    return found;
}

/* 0: out of memory. */
static uint64_t tag_of(const struct rate *rate, enum rate_action action, const void *who,
                       size_t len)
{
    const struct tag_part parts[] = {{&action, sizeof action}, {who, len}};

    return tag_make(&rate->tagger, parts, ARRAY_LEN(parts));
}

int64_t rate_take(struct rate *rate, enum rate_action action, const void *who, size_t len,
                  const struct gcra *rule, int64_t now_us)
{
    uint64_t tag = tag_of(rate, action, who, len);

    if (tag == 0) {
        return UNCOUNTED_US;
    }
    pthread_mutex_lock(&rate->shared.mutex);
    int64_t wait_us = gcra_take(rule, &claim_locked(rate, tag)->until_us, now_us);
    pthread_mutex_unlock(&rate->shared.mutex);
    return wait_us;
}

void rate_give(struct rate *rate, enum rate_action action, const void *who, size_t len,
               const struct gcra *rule)
{
    uint64_t tag = tag_of(rate, action, who, len);

    if (tag == 0) {
        return;
    }
    pthread_mutex_lock(&rate->shared.mutex);
    struct cell *cell = find_locked(rate, tag);
    if (cell != NULL) {
        cell->until_us -= rule->step_us;
    }
    pthread_mutex_unlock(&rate->shared.mutex);
}

/* ---- Requests ---- */

/* "ds:{" an address "}:r:" a name, and the NUL. */
#define KEY_BYTES (ADDRESS_TEXT_BYTES + 32)

/* The user or address that is counted. */
struct subject {
    unsigned char bytes[ADDRESS_BYTES];
    size_t len;
    char text[ADDRESS_TEXT_BYTES];
};

static struct subject subject_of(const struct request *req, enum rate_subject kind)
{
    struct subject subject;

    if (kind == RATE_OF_USER) {
        CHECK(req->who.user_id != 0);
        subject.len = sizeof req->who.user_id;
        memcpy(subject.bytes, &req->who.user_id, subject.len);
        (void)snprintf(subject.text, sizeof subject.text, "%" PRIu64, req->who.user_id);
    } else {
        struct address network = address_network(request_client(req));
        subject.len = sizeof network.bytes;
        memcpy(subject.bytes, network.bytes, subject.len);
        (void)address_text(network, subject.text);
    }
    return subject;
}

/* The wait by the count of all servers. False: Redis did not answer. */
static bool ask_redis(const struct request *req, const char *key, const struct gcra *rule,
                      int64_t *wait_us)
{
    struct rcluster *redis = req->app->redis;
    struct rbatch *batch = redis == NULL ? NULL : rbatch_new(1);
    bool is_known = false;

    if (batch != NULL && gcra_add_take(batch, key, rule)) {
        rcluster_run(redis, batch,
                     clock_earlier(clock_mono_ms() + REDIS_WAIT_MS, req->deadline_ms));
        is_known = gcra_taken(batch, 0, wait_us);
    }
    rbatch_free(&batch);
    if (!is_known && redis != NULL) {
        metrics_add(req->app->metrics, METRIC_RATES_ALONE, 1);
    }
    return is_known;
}

/* Count it here, and then for all servers: 0, or how long to wait instead. */
static int64_t count(struct request *req, const struct subject *subject,
                     const struct gcra *rule)
{
    enum rate_action action = req->route->rate;
    struct rate *rate = req->app->rate;
    char key[KEY_BYTES];
    int64_t wait_us =
        rate_take(rate, action, subject->bytes, subject->len, rule, clock_mono_us());

    if (wait_us > 0) {
        return wait_us;
    }
    (void)snprintf(key, sizeof key, "ds:{%s}:r:%s", subject->text, rows[action].text);
    if (ask_redis(req, key, rule, &wait_us) && wait_us > 0) {
        rate_give(rate, action, subject->bytes, subject->len, rule);
        return wait_us;
    }
    return 0;
}

bool rate_admit(struct request *req)
{
    const struct row *row = &rows[req->route->rate];
    int max = limit_of(app_config(req->app), req->route->rate);

    if (max == 0) {
        return true;
    }
    const struct subject subject = subject_of(req, row->subject);
    const struct gcra rule = gcra_evenly((unsigned)max, row->period_ms);
    int64_t wait_us = count(req, &subject, &rule);
    if (wait_us == 0) {
        return true;
    }
    metrics_add(req->app->metrics, METRIC_RATES_REFUSED, 1);
    log_write(LOG_INFO, "rate_limited", "action=%s of=%s wait_us=%" PRId64, row->text,
              subject.text, wait_us);
    reply_error(req, ERROR_THROTTLED, "%" PRId64 " s", (wait_us + 999999) / 1000000);
    return false;
}
