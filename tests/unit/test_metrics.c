/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Counters and their text: sums over several threads, label sets, buckets, every
 * metric. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/metrics.h"

#include "tests/unit/cmocka_all.h"

static const struct metrics_route routes[] = {{"GET", "/a/"}, {"POST", "/b/"}};

/* The whole text with two shards; the caller frees it. */
static char *render(const struct metrics *metrics)
{
    static const struct router_shard_state shards[] = {
        {.name = "s1", .up = true, .conns_open = 3, .slots_owned = 512, .calls_total = 7},
        {.name = "s2", .up = false, .replays_total = 9},
    };
    struct metrics_sample sample = {.shards = shards, .n_shards = 2};
    struct buf out;

    sample.value[METRIC_READY] = 1;
    sample.value[METRIC_JOBS_DONE] = 12345678901;
    buf_init(&out, (size_t)1 << 20);
    assert_true(metrics_render(metrics, &sample, &out));
    char *text = buf_detach(&out, NULL);
    assert_non_null(text);
    buf_clear(&out);
    return text;
}

static void assert_has(const char *text, const char *line)
{
    if (strstr(text, line) == NULL) {
        fail_msg("no \"%s\" in:\n%s", line, text);
    }
}

static void test_plain_numbers(void **state)
{
    struct metrics *metrics = metrics_new(routes, 2);

    (void)state;
    metrics_add(metrics, METRIC_PASSWORD_HASHES, 1);
    metrics_add(metrics, METRIC_PASSWORD_HASHES, 2);
    metrics_add(metrics, METRIC_HTTP_CONNECTIONS, 5);
    metrics_add(metrics, METRIC_HTTP_CONNECTIONS, -2);
    assert_int_equal(metrics_get(metrics, METRIC_PASSWORD_HASHES), 3);
    char *text = render(metrics);
    assert_has(text, "# TYPE doushard_password_hashes_total counter\n"
                     "doushard_password_hashes_total 3\n");
    assert_has(text, "# TYPE doushard_http_connections gauge\n"
                     "doushard_http_connections 3\n");
    assert_has(text, "\ndoushard_ready 1\n");
    assert_has(text, "\ndoushard_jobs_done_total 12345678901\n");
    free(text);
    metrics_free(&metrics);
    assert_null(metrics);
}

static void test_null_is_allowed(void **state)
{
    struct metrics *none = NULL;

    (void)state;
    metrics_add(none, METRIC_UPLOADS, 1);
    metrics_request_done(none, 0, 200, 0, 1);
    assert_int_equal(metrics_get(none, METRIC_UPLOADS), 0);
    metrics_free(&none);
}

static void test_requests(void **state)
{
    struct metrics *metrics = metrics_new(routes, 2);

    (void)state;
    metrics_request_done(metrics, 0, 200, 0, 500);
    metrics_request_done(metrics, 0, 200, 0, 1000);
    metrics_request_done(metrics, 0, 200, 1001, 1001);
    metrics_request_done(metrics, 1, 200, 0, 31000000);
    metrics_request_done(metrics, METRICS_NO_ROUTE, 404, 1002, -5);
    char *text = render(metrics);
    assert_has(text, "doushard_http_requests_total{method=\"GET\",route=\"/a/\",code="
                     "\"200\",status_code=\"0\"} 2\n");
    assert_has(text, "{method=\"GET\",route=\"/a/\",code=\"200\",status_code=\"1001\"} "
                     "1\n");
    assert_has(text, "{method=\"\",route=\"\",code=\"404\",status_code=\"1002\"} 1\n");
    assert_has(text, "_seconds_bucket{method=\"GET\",route=\"/a/\",le=\"0.001\"} 2\n");
    assert_has(text, "_seconds_bucket{method=\"GET\",route=\"/a/\",le=\"0.0025\"} 3\n");
    assert_has(text, "_seconds_bucket{method=\"GET\",route=\"/a/\",le=\"+Inf\"} 3\n");
    assert_has(text, "_seconds_bucket{method=\"POST\",route=\"/b/\",le=\"30\"} 0\n");
    assert_has(text, "_seconds_bucket{method=\"POST\",route=\"/b/\",le=\"+Inf\"} 1\n");
    assert_has(text, "_seconds_sum{method=\"GET\",route=\"/a/\"} 0.002501\n");
    assert_has(text, "_seconds_count{method=\"GET\",route=\"/a/\"} 3\n");
    free(text);
    metrics_free(&metrics);
}

/* More different answers than there is room for: no endless loop, nothing overwritten. */
static void test_too_many_series(void **state)
{
    struct metrics *metrics = metrics_new(routes, 2);
    size_t n_lines = 0;

    (void)state;
    for (int code = 0; code < 5000; code++) {
        metrics_request_done(metrics, 0, 200, code, 1);
    }
    metrics_request_done(metrics, 0, 200, 0, 1);
    char *text = render(metrics);
    assert_has(text, "code=\"200\",status_code=\"0\"} 2\n");
    assert_has(text, "_seconds_count{method=\"GET\",route=\"/a/\"} 5001\n");
    for (const char *at = text; (at = strstr(at, "\ndoushard_http_requests_total{"));
         at++) {
        n_lines++;
    }
    assert_int_equal(n_lines, 2048);
    free(text);
    metrics_free(&metrics);
}

static void test_shards(void **state)
{
    struct metrics *metrics = metrics_new(NULL, 0);

    (void)state;
    char *text = render(metrics);
    assert_has(text, "# TYPE doushard_shard_up gauge\ndoushard_shard_up{shard=\"s1\"} 1\n"
                     "doushard_shard_up{shard=\"s2\"} 0\n");
    assert_has(text, "doushard_shard_slots_owned{shard=\"s1\"} 512\n");
    assert_has(text, "doushard_shard_pool_connections{shard=\"s1\"} 3\n");
    assert_has(text, "doushard_shard_calls_total{shard=\"s1\"} 7\n");
    assert_has(text, "doushard_shard_replays_total{shard=\"s2\"} 9\n");
    free(text);
    metrics_free(&metrics);
}

static void test_process(void **state)
{
    struct metrics *metrics = metrics_new(NULL, 0);

    (void)state;
    char *text = render(metrics);
    assert_has(text, "\ndoushard_build_info{version=\"");
    const char *rss = strstr(text, "\nprocess_resident_memory_bytes ");
    const char *fds = strstr(text, "\nprocess_open_fds ");
    const char *max = strstr(text, "\nprocess_max_fds ");
    assert_non_null(rss);
    assert_non_null(fds);
    assert_non_null(max);
    assert_true(strtoull(strchr(rss, ' '), NULL, 10) > 1000000);
    assert_in_range(strtoull(strchr(fds, ' '), NULL, 10), 3, 100);
    assert_true(strtoull(strchr(max, ' '), NULL, 10) >= 100);
    free(text);
    metrics_free(&metrics);
}

/* What "promtool check metrics" checks: HELP and TYPE once per metric and before its
 * samples; names with the right endings; every line is a sample or a comment. */
static void test_text_format(void **state)
{
    struct metrics *metrics = metrics_new(routes, 2);
    char *save = NULL;
    char family[128] = "";
    char type[32] = "";

    (void)state;
    metrics_request_done(metrics, 0, 200, 0, 5);
    char *text = render(metrics);
    assert_int_equal(text[strlen(text) - 1], '\n');
    for (char *line = strtok_r(text, "\n", &save); line != NULL;
         line = strtok_r(NULL, "\n", &save)) {
        if (strncmp(line, "# HELP ", 7) == 0) {
            snprintf(family, sizeof family, "%.*s", (int)strcspn(line + 7, " "),
                     line + 7);
            assert_true(strlen(line + 7) > strlen(family) + 5);
            continue;
        }
        if (strncmp(line, "# TYPE ", 7) == 0) {
            assert_int_equal(strncmp(line + 7, family, strlen(family)), 0);
            snprintf(type, sizeof type, "%s", line + 8 + strlen(family));
            size_t len = strlen(family);
            bool is_total = len > 6 && strcmp(family + len - 6, "_total") == 0;
            assert_int_equal(is_total, strcmp(type, "counter") == 0);
            continue;
        }
        /* The sample belongs to the last metric announced. */
        assert_int_equal(strncmp(line, family, strlen(family)), 0);
        const char *value = strrchr(line, ' ');
        assert_non_null(value);
        char *end;
        assert_true(strtod(value + 1, &end) >= 0);
        assert_int_equal(*end, '\0');
    }
    free(text);
    metrics_free(&metrics);
}

static void *count_to_10000(void *arg)
{
    struct metrics *metrics = arg;

    for (int i = 0; i < 10000; i++) {
        metrics_add(metrics, METRIC_UPLOADS, 1);
        metrics_request_done(metrics, (size_t)i % 2, 200, i % 50, i);
    }
    return NULL;
}

static void test_threads_lose_nothing(void **state)
{
    struct metrics *metrics = metrics_new(routes, 2);
    pthread_t threads[4];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, count_to_10000, metrics), 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(metrics_get(metrics, METRIC_UPLOADS), 40000);
    char *text = render(metrics);
    assert_has(text, "_seconds_count{method=\"GET\",route=\"/a/\"} 20000\n");
    assert_has(text, "route=\"/a/\",code=\"200\",status_code=\"48\"} 800\n");
    assert_has(text, "route=\"/b/\",code=\"200\",status_code=\"49\"} 800\n");
    free(text);
    metrics_free(&metrics);
}

static void test_no_room(void **state)
{
    struct metrics *metrics = metrics_new(routes, 2);
    struct metrics_sample sample = {.n_shards = 0};
    struct buf out;

    (void)state;
    buf_init(&out, 100);
    assert_false(metrics_render(metrics, &sample, &out));
    buf_clear(&out);
    metrics_free(&metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_numbers), cmocka_unit_test(test_null_is_allowed),
        cmocka_unit_test(test_requests),      cmocka_unit_test(test_too_many_series),
        cmocka_unit_test(test_shards),        cmocka_unit_test(test_process),
        cmocka_unit_test(test_text_format),   cmocka_unit_test(test_threads_lose_nothing),
        cmocka_unit_test(test_no_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
