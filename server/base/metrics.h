/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Counters of one process, and their text form for Prometheus; the list is metrics.def.
 */
#ifndef DOUSHARD_BASE_METRICS_H
#define DOUSHARD_BASE_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/buf.h"
#include "shard/base/check.h"

#include "shard/cache.h"
#include "shard/relay.h"
#include "shard/router.h"

struct metrics;

enum metric {
#define METRIC(how, type, name, text, labels, help) METRIC_##name,
#include "server/base/metrics.def"
#undef METRIC
    METRIC__COUNT
};

/* Labels of requests: one per row of the route table. */
struct metrics_route {
    const char *method; /* borrowed until metrics_free() */
    const char *path;   /* as in the table, never what a client sent; borrowed likewise */
};

/* The route of a request that matched none. */
#define METRICS_NO_ROUTE SIZE_MAX

/* Copies the array, not its texts. NULL when out of memory. */
struct metrics *metrics_new(const struct metrics_route *routes,
                            size_t n_routes) MUST_CHECK;

/* *METRICS becomes NULL; NULL is allowed. */
void metrics_free(struct metrics **metrics);

/* Add N (negative only to a LEVEL) to a metric that metrics.def keeps as COUNT or LEVEL.
 * Thread-safe, takes no lock. METRICS may be NULL: nothing happens. */
void metrics_add(struct metrics *metrics, enum metric metric, int64_t n);

/* The value of a COUNT or LEVEL; 0 for NULL. */
int64_t metrics_get(const struct metrics *metrics, enum metric metric);

/* One request was answered. ROUTE is its row in the array given to metrics_new(), or
 * METRICS_NO_ROUTE. STATUS_CODE is that of the JSON body, 0 where there is none.
 * Thread-safe, takes no lock. METRICS may be NULL. */
void metrics_request_done(struct metrics *metrics, size_t route, int http_status,
                          int status_code, int64_t duration_us);

/* The state of all parts of the server at one moment; zero where a part is missing. */
struct metrics_sample {
    int64_t value[METRIC__COUNT];            /* of metrics that metrics.def marks READ */
    const struct router_shard_state *shards; /* borrowed */
    const struct relay_state *relays;        /* borrowed; one per shard, NULL: no relay */
    size_t n_shards;
    const struct cache_state *caches; /* borrowed; one per enum cache_kind */
};

/* Append the whole exposition to OUT; asks the kernel for the state of the process. False
 * when out of memory. */
bool metrics_render(const struct metrics *metrics, const struct metrics_sample *sample,
                    struct buf *out) MUST_CHECK;

#endif
