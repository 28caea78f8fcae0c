/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The measurements that a benchmark program prints. */
#include "tests/bench/figures.h"

#include <stdio.h>
#include <sys/resource.h>

#define CURVE_STEP 0.8 /* about ten points per factor of ten */

static double self_seconds(void)
{
    struct rusage usage;

    CHECK(getrusage(RUSAGE_SELF, &usage) == 0);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

void figures_read_cpu(const struct cpu_group *group, size_t n, struct figures_cpu *cpu)
{
    cpu->self_s = self_seconds();
    for (size_t i = 0; i < n; i++) {
        cpu->group_s[i] = cpu_seconds(&group[i]);
    }
}

json_t *figures_cpu(const struct cpu_group *group, size_t n,
                    const struct figures_cpu *begin, const struct figures_cpu *end)
{
    json_t *json = json_pack("{s:f}", "generator", end->self_s - begin->self_s);

    CHECK(json != NULL);
    for (size_t i = 0; i < n; i++) {
        json_object_set_new(json, group[i].name,
                            json_real(end->group_s[i] - begin->group_s[i]));
    }
    return json;
}

json_t *figures_latency(const struct hist *hist)
{
    static const struct {
        const char *name;
        double q;
    } points[] = {{"p50_us", 0.5}, {"p90_us", 0.9}, {"p99_us", 0.99}, {"p999_us", 0.999}};
    json_t *json = json_pack("{s:f, s:f}", "mean_us", hist_mean_ns(hist) / 1e3, "max_us",
                             (double)hist->max_ns / 1e3);

    CHECK(json != NULL);
    for (size_t i = 0; i < ARRAY_LEN(points); i++) {
        double us = (double)hist_quantile_ns(hist, points[i].q) / 1e3;
        json_object_set_new(json, points[i].name, json_real(us));
    }
    return json;
}

json_t *figures_curve(const struct hist *hist)
{
    json_t *json = json_array();
    double left = 1;

    CHECK(json != NULL);
    while (left * (double)hist->n >= 1) {
        double us = (double)hist_quantile_ns(hist, 1 - left) / 1e3;
        json_array_append_new(json, json_pack("[f, f]", us, 1 - left));
        left *= CURVE_STEP;
    }
    return json;
}

void figures_print(json_t *json)
{
    CHECK(json != NULL);
    CHECK(json_dumpf(json, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9)) == 0);
    putchar('\n');
    (void)fflush(stdout);
    json_decref(json);
}
