/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Counters of one process, and their text form for Prometheus. */
#include "server/base/metrics.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "server/base/version.h"

/* Different (route, HTTP status, status_code); a power of two. Some 20 routes with at
 * most 20 answers each fit easily. */
#define SERIES_MAX 2048

/* Upper bounds of the duration buckets in microseconds; one more counts the rest. */
static const int64_t bounds_us[] = {1000,    2500,    5000,     10000,   25000,
                                    50000,   100000,  250000,   500000,  1000000,
                                    2500000, 5000000, 10000000, 30000000};

#define BUCKETS (ARRAY_LEN(bounds_us) + 1)

enum how {
    HOW_COUNT,
    HOW_LEVEL,
    HOW_REQUEST,
    HOW_READ,
    HOW_SHARD,
    HOW_RELAY,
    HOW_CACHE,
    HOW_PROCESS
};

static const struct family {
    const char *name;
    const char *type;
    const char *help;
    enum how how;
} families[] = {
#define METRIC(how_, type_, name_, text_, labels_, help_)                                \
    {.name = (text_), .type = #type_, .help = (help_), .how = HOW_##how_},
#include "server/base/metrics.def"
#undef METRIC
};

/* How often one kind of answer was given. KEY is 0 while the entry is free. */
struct series {
    _Atomic uint64_t key;
    _Atomic uint64_t count;
};

struct histogram {
    _Atomic uint64_t bucket[BUCKETS];
    _Atomic uint64_t sum_us;
};

struct metrics {
    size_t n_routes;
    struct metrics_route *routes; /* owned; the last one is METRICS_NO_ROUTE */
    struct histogram *durations;  /* owned; one per route */
    _Atomic int64_t value[METRIC__COUNT];
    struct series series[SERIES_MAX];
};

struct metrics *metrics_new(const struct metrics_route *routes, size_t n_routes)
{
    struct metrics *metrics = calloc(1, sizeof *metrics);

    if (metrics == NULL) {
        return NULL;
    }
    metrics->n_routes = n_routes + 1;
    metrics->routes = calloc(metrics->n_routes, sizeof *metrics->routes);
    metrics->durations = calloc(metrics->n_routes, sizeof *metrics->durations);
    if (metrics->routes == NULL || metrics->durations == NULL) {
        metrics_free(&metrics);
        return NULL;
    }
    for (size_t i = 0; i < n_routes; i++) {
        metrics->routes[i] = routes[i];
    }
    metrics->routes[n_routes] = (struct metrics_route){.method = "", .path = ""};
    return metrics;
}

void metrics_free(struct metrics **metrics)
{
    if (*metrics != NULL) {
        free((*metrics)->routes);
        free((*metrics)->durations);
        free(*metrics);
        *metrics = NULL;
    }
}

void metrics_add(struct metrics *metrics, enum metric metric, int64_t n)
{
    enum how how = families[metric].how;

    CHECK(how == HOW_LEVEL || (how == HOW_COUNT && n >= 0));
    if (metrics != NULL) {
        atomic_fetch_add_explicit(&metrics->value[metric], n, memory_order_relaxed);
    }
}

int64_t metrics_get(const struct metrics *metrics, enum metric metric)
{
    return metrics == NULL
               ? 0
               : atomic_load_explicit(&metrics->value[metric], memory_order_relaxed);
}

/* ---- Requests ---- */

static uint64_t series_key(size_t route, int http_status, int status_code)
{
    return (uint64_t)1 << 63 | (uint64_t)route << 48 |
           (uint64_t)((unsigned)http_status & 0xffffU) << 32 |
           (uint64_t)((unsigned)status_code);
}

static void count_series(struct metrics *metrics, uint64_t key)
{
    uint64_t start = (key ^ key >> 32) * UINT64_C(0x9e3779b97f4a7c15) >> 32;

    for (size_t i = 0; i < SERIES_MAX; i++) {
        struct series *series = &metrics->series[(start + i) % SERIES_MAX];
        uint64_t found = atomic_load_explicit(&series->key, memory_order_relaxed);
        /* A free entry belongs to whoever writes its key first; it is never given back.
         */
        if (found == 0 && atomic_compare_exchange_strong(&series->key, &found, key)) {
            found = key;
        }
        if (found == key) {
            atomic_fetch_add_explicit(&series->count, 1, memory_order_relaxed);
            return;
        }
    }
}

void metrics_request_done(struct metrics *metrics, size_t route, int http_status,
                          int status_code, int64_t duration_us)
{
    size_t bucket = 0;

    if (metrics == NULL) {
        return;
    }
    if (route >= metrics->n_routes) {
        route = metrics->n_routes - 1;
    }
    if (duration_us < 0) {
        duration_us = 0;
    }
    count_series(metrics, series_key(route, http_status, status_code));
    while (bucket < ARRAY_LEN(bounds_us) && duration_us > bounds_us[bucket]) {
        bucket++;
    }
    struct histogram *histogram = &metrics->durations[route];
    atomic_fetch_add_explicit(&histogram->bucket[bucket], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&histogram->sum_us, (uint64_t)duration_us,
                              memory_order_relaxed);
}

/* ---- The text ---- */

static void render_requests(const struct metrics *metrics, const char *name,
                            struct buf *out)
{
    for (size_t i = 0; i < SERIES_MAX; i++) {
        uint64_t key =
            atomic_load_explicit(&metrics->series[i].key, memory_order_relaxed);
        if (key == 0) {
            continue;
        }
        const struct metrics_route *route = &metrics->routes[key >> 48 & 0x7fff];
        buf_addf(out,
                 "%s{method=\"%s\",route=\"%s\",code=\"%u\",status_code=\"%u\"} %" PRIu64
                 "\n",
                 name, route->method, route->path, (unsigned)(key >> 32 & 0xffff),
                 (unsigned)(key & 0xffffffff),
                 atomic_load_explicit(&metrics->series[i].count, memory_order_relaxed));
    }
}

static void render_duration(const struct metrics_route *route,
                            const struct histogram *histogram, const char *name,
                            struct buf *out)
{
    uint64_t total = 0;

    /* The count is the sum of the buckets read here, so that both always agree. */
    for (size_t i = 0; i < BUCKETS; i++) {
        total += atomic_load_explicit(&histogram->bucket[i], memory_order_relaxed);
        buf_addf(out, "%s_bucket{method=\"%s\",route=\"%s\",le=\"", name, route->method,
                 route->path);
        if (i < ARRAY_LEN(bounds_us)) {
            buf_addf(out, "%g", (double)bounds_us[i] / 1e6);
        } else {
            buf_addf(out, "+Inf");
        }
        buf_addf(out, "\"} %" PRIu64 "\n", total);
    }
    buf_addf(out,
             "%s_sum{method=\"%s\",route=\"%s\"} %.6f\n"
             "%s_count{method=\"%s\",route=\"%s\"} %" PRIu64 "\n",
             name, route->method, route->path,
             (double)atomic_load_explicit(&histogram->sum_us, memory_order_relaxed) / 1e6,
             name, route->method, route->path, total);
}

static void render_shard(enum metric metric, const struct router_shard_state *shard,
                         struct buf *out)
{
    uint64_t value = 0;

    switch (metric) {
    case METRIC_SHARD_UP:
        value = shard->up;
        break;
    case METRIC_SHARD_WRITABLE:
        value = shard->writable;
        break;
    case METRIC_SHARD_WRITES_REFUSED:
        value = shard->writes_refused_total;
        break;
    case METRIC_SHARD_FREE:
        if (shard->free_bytes < 0) {
            buf_addf(out, "%s{shard=\"%s\"} NaN\n", families[metric].name, shard->name);
            return;
        }
        value = (uint64_t)shard->free_bytes;
        break;
    case METRIC_SHARD_SLOTS:
        value = shard->slots_owned;
        break;
    case METRIC_SHARD_POOL_OPEN:
        value = shard->conns_open;
        break;
    case METRIC_SHARD_POOL_BUSY:
        value = shard->conns_busy;
        break;
    case METRIC_SHARD_POOL_WAITERS:
        value = shard->waiters;
        break;
    case METRIC_SHARD_OPERATIONS:
        value = shard->operations_total;
        break;
    case METRIC_SHARD_CALLS:
        value = shard->calls_total;
        break;
    case METRIC_SHARD_CALLS_FAILED:
        value = shard->calls_failed_total;
        break;
    case METRIC_SHARD_REPLAYS:
        value = shard->replays_total;
        break;
    case METRIC_SHARD_MOVED:
        value = shard->moved_total;
        break;
    case METRIC_SHARD_POOL_DIRTY:
        value = shard->conns_dirty_total;
        break;
    default:
        CHECK(false && "every SHARD metric has a case");
    }
    buf_addf(out, "%s{shard=\"%s\"} %" PRIu64 "\n", families[metric].name, shard->name,
             value);
}

static void render_relay(enum metric metric, const struct router_shard_state *shard,
                         const struct relay_state *relay, struct buf *out)
{
    uint64_t value = 0;

    switch (metric) {
    case METRIC_RELAY_HOLDER:
        value = relay->is_holder;
        break;
    case METRIC_RELAY_DELIVERED:
        value = relay->delivered_total;
        break;
    case METRIC_RELAY_UNDONE:
        value = relay->undone_total;
        break;
    case METRIC_RELAY_PUT_OFF:
        value = relay->put_off_total;
        break;
    case METRIC_RELAY_FAILED:
        value = relay->failed_total;
        break;
    case METRIC_RELAY_PARKED:
        value = relay->parked_total;
        break;
    case METRIC_RELAY_OLDEST:
        buf_addf(out, "%s{shard=\"%s\"} %.3f\n", families[metric].name, shard->name,
                 (double)relay->oldest_ms / 1000);
        return;
    default:
        CHECK(false && "every RELAY metric has a case");
    }
    buf_addf(out, "%s{shard=\"%s\"} %" PRIu64 "\n", families[metric].name, shard->name,
             value);
}

/* Write METRIC for every kind of cached value. */
static void render_cache(enum metric metric, const struct cache_state *caches,
                         struct buf *out)
{
    static const size_t offsets[METRIC__COUNT] = {
        [METRIC_CACHE_HITS_LOCAL] = offsetof(struct cache_state, hits_local_total),
        [METRIC_CACHE_HITS_REDIS] = offsetof(struct cache_state, hits_redis_total),
        [METRIC_CACHE_MISSES] = offsetof(struct cache_state, misses_total),
        [METRIC_CACHE_CONFIRMED] = offsetof(struct cache_state, confirmed_total),
        [METRIC_CACHE_FILLS] = offsetof(struct cache_state, fills_total),
        [METRIC_CACHE_FILLS_REFUSED] = offsetof(struct cache_state, fills_refused_total),
        [METRIC_CACHE_WRITES] = offsetof(struct cache_state, writes_total),
        [METRIC_CACHE_MARKERS] = offsetof(struct cache_state, markers_total),
        [METRIC_CACHE_LOST] = offsetof(struct cache_state, lost_total),
        [METRIC_CACHE_STORED_BYTES] = offsetof(struct cache_state, stored_bytes_total),
        [METRIC_CACHE_LOCAL_COPIES] = offsetof(struct cache_state, local_copies),
        [METRIC_CACHE_LOCAL_BYTES] = offsetof(struct cache_state, local_bytes),
    };

    for (size_t i = 0; caches != NULL && i < CACHE__COUNT; i++) {
        const void *member = (const char *)&caches[i] + offsets[metric];
        buf_addf(out, "%s{kind=\"%s\"} %" PRIu64 "\n", families[metric].name,
                 cache_kind_name((enum cache_kind)i), *(const uint64_t *)member);
    }
}

/* Pages of (virtual, resident) memory; zeros when /proc is not there. */
static void memory_pages(unsigned long long *size, unsigned long long *resident)
{
    FILE *in = fopen("/proc/self/statm", "re");
    char line[128] = "";
    char *end = line;

    *size = 0;
    *resident = 0;
    if (in == NULL) {
        return;
    }
    if (fgets(line, sizeof line, in) != NULL) {
        *size = strtoull(line, &end, 10);
        *resident = strtoull(end, NULL, 10);
    }
    (void)fclose(in);
}

static unsigned open_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned n = 0;

    if (dir == NULL) {
        return 0;
    }
    /* Each DIR belongs to one thread here, which is all that readdir() asks. */
    while (readdir(dir) != NULL) { // NOLINT(concurrency-mt-unsafe)
        n++;
    }
    closedir(dir);
    /* ".", ".." and the descriptor of the directory itself. */
    return n > 3 ? n - 3 : 0;
}

static double cpu_seconds(void)
{
    struct rusage usage;

    if (getrusage(RUSAGE_SELF, &usage) != 0) {
        return 0;
    }
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void render_process(enum metric metric, struct buf *out)
{
    unsigned long long page = (unsigned long long)sysconf(_SC_PAGESIZE);
    unsigned long long size;
    unsigned long long resident;
    struct rlimit limit = {0};
    const char *name = families[metric].name;

    switch (metric) {
    case METRIC_BUILD_INFO:
        buf_addf(out, "%s{version=\"%s\",commit=\"%s\"} 1\n", name, version_text(),
                 version_commit());
        break;
    case METRIC_PROCESS_CPU:
        buf_addf(out, "%s %.6f\n", name, cpu_seconds());
        break;
    case METRIC_PROCESS_RSS:
        memory_pages(&size, &resident);
        buf_addf(out, "%s %llu\n", name, resident * page);
        break;
    case METRIC_PROCESS_VSIZE:
        memory_pages(&size, &resident);
        buf_addf(out, "%s %llu\n", name, size * page);
        break;
    case METRIC_PROCESS_FDS:
        buf_addf(out, "%s %u\n", name, open_fds());
        break;
    case METRIC_PROCESS_MAX_FDS:
        (void)getrlimit(RLIMIT_NOFILE, &limit);
        buf_addf(out, "%s %llu\n", name, (unsigned long long)limit.rlim_cur);
        break;
    default:
        CHECK(false && "every PROCESS metric has a case");
    }
}

static void render_family(const struct metrics *metrics, enum metric metric,
                          const struct metrics_sample *sample, struct buf *out)
{
    const struct family *family = &families[metric];

    buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n", family->name, family->help,
             family->name, family->type);
    switch (family->how) {
    case HOW_COUNT:
    case HOW_LEVEL:
        buf_addf(out, "%s %" PRId64 "\n", family->name, metrics_get(metrics, metric));
        break;
    case HOW_READ:
        buf_addf(out, "%s %" PRId64 "\n", family->name, sample->value[metric]);
        break;
    case HOW_PROCESS:
        render_process(metric, out);
        break;
    case HOW_SHARD:
        for (size_t i = 0; i < sample->n_shards; i++) {
            render_shard(metric, &sample->shards[i], out);
        }
        break;
    case HOW_RELAY:
        for (size_t i = 0; sample->relays != NULL && i < sample->n_shards; i++) {
            render_relay(metric, &sample->shards[i], &sample->relays[i], out);
        }
        break;
    case HOW_CACHE:
        render_cache(metric, sample->caches, out);
        break;
    case HOW_REQUEST:
        if (metric == METRIC_HTTP_REQUESTS) {
            render_requests(metrics, family->name, out);
            break;
        }
        for (size_t i = 0; i < metrics->n_routes; i++) {
            render_duration(&metrics->routes[i], &metrics->durations[i], family->name,
                            out);
        }
        break;
    }
}

bool metrics_render(const struct metrics *metrics, const struct metrics_sample *sample,
                    struct buf *out)
{
    for (size_t i = 0; i < METRIC__COUNT; i++) {
        render_family(metrics, (enum metric)i, sample, out);
    }
    return !out->failed;
}
