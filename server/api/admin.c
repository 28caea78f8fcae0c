/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What operators and load balancers ask: alive, ready, how busy. No handler here waits
 * for a shard, so they answer even when nothing else does. */
#include <stdlib.h>

#include "shard/base/buf.h"
#include "shard/base/fiber.h"
#include "shard/base/log.h"

#include "shard/cache.h"
#include "shard/delivery.h"
#include "shard/rcluster.h"
#include "shard/relay.h"
#include "shard/router.h"
#include "shard/rslot.h"

#include "server/api/handlers.h"
#include "server/api/words.h"
#include "server/base/app.h"
#include "server/base/metrics.h"
#include "server/base/workers.h"
#include "server/config/config.h"
#include "server/media/janitor.h"
#include "server/media/media.h"
#include "server/media/sweep.h"
#include "server/media/upload.h"
#include "server/request/reply.h"
#include "server/request/request.h"

#define TEXT_PLAIN      "text/plain; charset=utf-8"
#define TEXT_PROMETHEUS "text/plain; version=0.0.4; charset=utf-8"

/* Largest answer: 255 shards take about 300 KiB of metrics. */
#define ANSWER_MAX ((size_t)4 << 20)

/* GET /ping: the public twin of /livez, with the body that clients of this API know. */
void h_ping(struct request *req)
{
    reply_static(req, 200, "application/json", "{\"message\":\"pong\"}");
}

/* GET /livez: 200 as long as the process can answer at all. */
void h_livez(struct request *req)
{
    reply_static(req, 200, TEXT_PLAIN, "ok\n");
}

/* Answer with the contents of BUF. */
static void reply_buf(struct request *req, unsigned http_status, const char *type,
                      struct buf *buf)
{
    size_t len = 0;
    char *text = buf_detach(buf, &len);

    buf_clear(buf);
    if (text == NULL) {
        reply_error(req, ERROR_UNAVAILABLE, NULL);
        return;
    }
    reply_raw(req, http_status, type, text, len);
}

/* How many disputed slots are named at most. */
#define DISPUTES_SHOWN 16

/* One line per slot that nobody serves because two shards claim it. */
static void show_disputes(struct router *router, struct buf *out)
{
    struct router_dispute disputes[DISPUTES_SHOWN];
    unsigned n = router_disputes(router, 0, disputes, DISPUTES_SHOWN);

    for (unsigned i = 0; i < n && i < DISPUTES_SHOWN; i++) {
        const struct router_dispute *d = &disputes[i];
        buf_addf(out,
                 "[-]slot %u: %s and %s claim it at epoch %llu: "
                 "CALL slot_settle(%u, name) on the one that is to have it\n",
                 d->slot, d->servers[0], d->servers[1], (unsigned long long)d->epoch,
                 d->slot);
    }
    if (n > DISPUTES_SHOWN) {
        buf_addf(out, "[-]slots: %u more are claimed twice\n", n - DISPUTES_SHOWN);
    }
}

/* One line per shard that is down or paused, so that nobody serves its slots; that takes
 * no writes (no reason to send clients elsewhere, since it is the same for every server);
 * or that has heard something wrong, which does no harm. */
static bool check_shards(struct router *router, struct buf *out)
{
    bool is_ready = router_is_ready(router);

    buf_addf(out, is_ready ? "[+]shards ok\n"
                           : "[-]shards: not every slot has an owner that answers\n");
    for (size_t i = 0; i < router_n_shards(router); i++) {
        struct router_shard_state state;
        if (!router_has_shard(router, i)) {
            continue;
        }
        router_shard_state(router, i, &state);
        if (!state.up) {
            buf_addf(out, "[-]shard %s: %s\n", state.name, state.reason.text);
        }
        if (state.paused[0] != '\0') {
            buf_addf(out, "[-]shard %s is paused by %s\n", state.name, state.paused);
        }
        if (state.up && !state.writable) {
            buf_addf(out, "[!]shard %s takes no writes: %s\n", state.name,
                     state.writes_reason.text);
        }
        if (state.n_hearsay > 0) {
            buf_addf(out, "[!]shard %s has heard that %s; not believed (slots: %u)\n",
                     state.name, state.hearsay, state.n_hearsay);
        }
    }
    show_disputes(router, out);
    return is_ready;
}

/* Report Redis; the server is ready without it, too. */
static void show_redis(struct rcluster *redis, struct buf *out)
{
    struct rcluster_state state;

    if (redis == NULL) {
        return;
    }
    rcluster_state(redis, &state);
    if (state.slots_served == RSLOTS) {
        buf_addf(out, "[+]redis ok\n");
    } else {
        buf_addf(out,
                 "[!]redis: %u of %u slots have a master that answers; what is cached in "
                 "the others comes from the shards\n",
                 state.slots_served, RSLOTS);
    }
}

/* GET /readyz: 200 when every slot has one owner that is up and no shutdown has begun,
 * else 503; the body lists each check as "[+]name ok" or "[-]name: why", and as "[!]"
 * what needs attention although everything is served. */
void h_readyz(struct request *req)
{
    struct app *app = req->app;
    struct buf out;
    bool is_draining = atomic_load(&app->draining);
    bool is_ready;

    buf_init(&out, ANSWER_MAX);
    buf_addf(&out, is_draining ? "[-]serving: shutting down\n" : "[+]serving ok\n");
    is_ready = check_shards(app->router, &out) && !is_draining;
    show_redis(app->redis, &out);
    buf_addf(&out, is_ready ? "ready\n" : "not ready\n");
    reply_buf(req, is_ready ? 200 : 503, TEXT_PLAIN, &out);
}

static void sample_redis(struct rcluster *redis, int64_t *value)
{
    struct rcluster_state state;

    rcluster_state(redis, &state);
    value[METRIC_REDIS_NODES] = state.n_nodes;
    value[METRIC_REDIS_NODES_UP] = state.n_up;
    value[METRIC_REDIS_SLOTS_SERVED] = state.slots_served;
    value[METRIC_REDIS_COMMANDS] = (int64_t)state.commands_total;
    value[METRIC_REDIS_MOVED] = (int64_t)state.moved_total;
    value[METRIC_REDIS_ASKED] = (int64_t)state.asked_total;
    value[METRIC_REDIS_TRYAGAIN] = (int64_t)state.tryagain_total;
    value[METRIC_REDIS_UNAVAILABLE] = (int64_t)state.unavailable_total;
    value[METRIC_REDIS_LOST] = (int64_t)state.lost_total;
    value[METRIC_REDIS_REFRESHES] = (int64_t)state.refreshes_total;
    value[METRIC_REDIS_REFRESHES_FAILED] = (int64_t)state.refreshes_failed_total;
}

/* Ask every part that was started. */
static void take_sample(struct app *app, struct metrics_sample *sample)
{
    int64_t *value = sample->value;

    value[METRIC_READY] = router_is_ready(app->router) && !atomic_load(&app->draining);
    value[METRIC_SLOTS_DISPUTED] = router_disputes(app->router, 0, NULL, 0);
    value[METRIC_CONFIG_GENERATION] = app_config(app)->generation;
    value[METRIC_PROCESS_START] = app->start_wall_ms / 1000;
    value[METRIC_LOG_LINES_LOST] = (int64_t)log_lost();
    if (app->workers != NULL) {
        struct workers_state state;
        workers_state(app->workers, &state);
        value[METRIC_WORKERS] = state.n_threads;
        value[METRIC_WORKERS_BUSY] = state.n_busy;
        value[METRIC_WORKERS_QUEUED] = (int64_t)state.n_queued;
    }
    if (app->fibers != NULL) {
        struct fibers_state state;
        fibers_state(app->fibers, &state);
        value[METRIC_FIBERS] = (int64_t)state.n_work;
        value[METRIC_FIBER_STACKS] = (int64_t)state.n_stacks;
    }
    if (app->uploads != NULL) {
        struct uploads_state state;
        uploads_state(app->uploads, &state);
        value[METRIC_UPLOADS_RUNNING] = state.n_running;
        value[METRIC_UPLOADS_RESERVED] = (int64_t)state.reserved_bytes;
        value[METRIC_MEDIA_FREE] =
            state.free_bytes < INT64_MAX ? (int64_t)state.free_bytes : INT64_MAX;
    }
    if (app->media != NULL) {
        struct media_state state;
        media_state(app->media, &state);
        value[METRIC_MEDIA_RUNNING] = state.n_running;
        value[METRIC_MEDIA_WAITING] = state.n_waiting;
    }
    if (app->janitor != NULL) {
        struct janitor_state state;
        janitor_state(app->janitor, &state);
        value[METRIC_JOBS_DONE] = (int64_t)state.jobs_done;
        value[METRIC_JOBS_FAILED] = (int64_t)state.jobs_failed;
        value[METRIC_ROWS_PURGED] = (int64_t)state.rows_purged;
    }
    if (app->sweep != NULL) {
        struct sweep_state state;
        sweep_state(app->sweep, &state);
        value[METRIC_ORPHANS_REMOVED] = (int64_t)state.removed;
        value[METRIC_SWEEP_HOLDER] = state.is_holder;
        value[METRIC_SWEEP_FILES] = (int64_t)state.files;
        value[METRIC_SWEEP_PAGES] = (int64_t)state.pages;
        value[METRIC_SWEEP_UNSURE] = (int64_t)state.unsure;
        value[METRIC_SWEEPS] = (int64_t)state.sweeps;
        value[METRIC_SWEEP_SECONDS] = state.last_ms / 1000;
    }
    if (app->words != NULL) {
        value[METRIC_WORDS] = (int64_t)words_count(app->words);
    }
    if (app->redis != NULL) {
        sample_redis(app->redis, value);
    }
    if (app->delivery != NULL) {
        struct delivery_state state;
        delivery_state(app->delivery, &state);
        value[METRIC_HALVES_MADE] = (int64_t)state.made_total;
        value[METRIC_HALVES_UNDONE] = (int64_t)state.undone_total;
        value[METRIC_HALVES_LEFT] = (int64_t)state.left_total;
        value[METRIC_OUTBOX_QUEUED] = (int64_t)state.queued;
        value[METRIC_OUTBOX_REMOVED] = (int64_t)state.removed_total;
        value[METRIC_OUTBOX_KEPT] = (int64_t)state.kept_total;
    }
}

/* GET /metrics: Prometheus text format 0.0.4. */
void h_metrics(struct request *req)
{
    struct app *app = req->app;
    size_t n_shards = router_n_shards(app->router);
    size_t n = 0;
    struct router_shard_state *shards =
        arena_calloc(&req->arena, n_shards, sizeof *shards);
    struct relay_state *relays = arena_calloc(&req->arena, n_shards, sizeof *relays);
    struct metrics_sample *sample = arena_calloc(&req->arena, 1, sizeof *sample);
    struct cache_state caches[CACHE__COUNT];
    struct buf out;

    if (shards == NULL || relays == NULL || sample == NULL) {
        reply_error(req, ERROR_UNAVAILABLE, NULL);
        return;
    }
    for (size_t i = 0; i < n_shards; i++) {
        if (!router_has_shard(app->router, i)) {
            continue;
        }
        router_shard_state(app->router, i, &shards[n]);
        if (app->relay != NULL) {
            relay_state(app->relay, i, &relays[n]);
        }
        n++;
    }
    for (size_t i = 0; app->cache != NULL && i < CACHE__COUNT; i++) {
        cache_state(app->cache, (enum cache_kind)i, &caches[i]);
    }
    sample->caches = app->cache != NULL ? caches : NULL;
    sample->shards = shards;
    sample->relays = app->relay != NULL ? relays : NULL;
    sample->n_shards = n;
    take_sample(app, sample);
    buf_init(&out, ANSWER_MAX);
    if (!metrics_render(app->metrics, sample, &out)) {
        buf_clear(&out);
        reply_error(req, ERROR_UNAVAILABLE, NULL);
        return;
    }
    reply_buf(req, 200, TEXT_PROMETHEUS, &out);
}
