/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The yardsticks without HTTP: repeats one probe for some time, and prints the result as
 * JSON like that of benchload. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shard/dbconn.h"

#include "tests/bench/figures.h"
#include "tests/bench/probe.h"

static const char usage[] =
    "usage: benchprobe call|router|write|disk [OPTION..]\n"
    "\n"
    "Repeats one operation (see probe.h) in one thread, and prints how often it was "
    "done\n"
    "and how long it took.\n"
    "\n"
    "  --warm-up=S          seconds before the measurement (1)\n"
    "  --window=S           seconds of the measurement (5)\n"
    "  --shard=NAME=SOCKET  a shard; may be repeated\n"
    "  --defaults-file=F    option file with which root logs in\n"
    "  --password-file=F    password of doushard_app\n"
    "  --owners=FILE        user ids, one per line\n"
    "  --dir=DIR            directory in which disk writes\n"
    "  --cpu=NAME=PID,..    report the CPU time of these processes; may be repeated\n"
    "\n"
    "Exit status: 0 done; 1 something failed; 2 misuse.\n";

struct options {
    const char *probe;
    double warm_up_s, window_s;
    struct probe_options with;
    struct cpu_group group[FIGURES_GROUPS_MAX];
    size_t n_groups;
};

enum {
    OPTION_WARM_UP = 1,
    OPTION_WINDOW,
    OPTION_SHARD,
    OPTION_DEFAULTS_FILE,
    OPTION_PASSWORD_FILE,
    OPTION_OWNERS,
    OPTION_DIR,
    OPTION_CPU,
    OPTION_HELP
};

static const struct option long_options[] = {
    {"warm-up", required_argument, NULL, OPTION_WARM_UP},
    {"window", required_argument, NULL, OPTION_WINDOW},
    {"shard", required_argument, NULL, OPTION_SHARD},
    {"defaults-file", required_argument, NULL, OPTION_DEFAULTS_FILE},
    {"password-file", required_argument, NULL, OPTION_PASSWORD_FILE},
    {"owners", required_argument, NULL, OPTION_OWNERS},
    {"dir", required_argument, NULL, OPTION_DIR},
    {"cpu", required_argument, NULL, OPTION_CPU},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0}};

static bool add_shard(struct probe_options *with, const char *text)
{
    const char *equals = strchr(text, '=');

    if (equals == NULL || with->n_shards == PROBE_SHARDS_MAX ||
        (size_t)(equals - text) >= sizeof with->shard[0].name) {
        return false;
    }
    memcpy(with->shard[with->n_shards].name, text, (size_t)(equals - text));
    with->shard[with->n_shards++].socket = equals + 1;
    return true;
}

static bool set_option(struct options *options, int which, const char *text)
{
    switch (which) {
    case OPTION_WARM_UP:
        options->warm_up_s = strtod(text, NULL);
        return true;
    case OPTION_WINDOW:
        options->window_s = strtod(text, NULL);
        return options->window_s > 0;
    case OPTION_SHARD:
        return add_shard(&options->with, text);
    case OPTION_DEFAULTS_FILE:
        options->with.defaults_file = text;
        return true;
    case OPTION_PASSWORD_FILE:
        options->with.password_file = text;
        return true;
    case OPTION_OWNERS:
        options->with.owners = text;
        return true;
    case OPTION_DIR:
        options->with.dir = text;
        return true;
    case OPTION_CPU:
        return options->n_groups < FIGURES_GROUPS_MAX &&
               cpu_parse(&options->group[options->n_groups++], text);
    default:
        return false;
    }
}

/* Does the probe have all options that it needs? */
static bool is_complete(const struct options *options)
{
    const struct probe_options *with = &options->with;

    if (options->probe == NULL) {
        return false;
    }
    if (strcmp(options->probe, "disk") == 0) {
        return with->dir != NULL;
    }
    bool reads = strcmp(options->probe, "write") != 0;
    return with->n_shards > 0 && with->defaults_file != NULL &&
           (!reads || (with->owners != NULL && with->password_file != NULL));
}

/* True: go on. False: exit with *STATUS; the usage has been printed. */
static bool parse(struct options *options, int argc, char **argv, int *status)
{
    int which;

    *options = (struct options){.warm_up_s = 1, .window_s = 5};
    // NOLINTNEXTLINE(concurrency-mt-unsafe): before the first thread
    while ((which = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (which == OPTION_HELP || which == '?' || !set_option(options, which, optarg)) {
            *status = which == OPTION_HELP ? 0 : 2;
            (void)fputs(usage, *status == 0 ? stdout : stderr);
            return false;
        }
    }
    options->probe = optind + 1 == argc ? argv[optind] : NULL;
    if (!is_complete(options)) {
        (void)fputs(usage, stderr);
        *status = 2;
        return false;
    }
    return true;
}

static int64_t now_ns(void)
{
    struct timespec t;

    CHECK(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* Repeat the probe for SECONDS, and add each duration to HIST. */
static bool repeat(struct probe *probe, double seconds, struct hist *hist)
{
    int64_t now = now_ns();
    int64_t end_ns = now + (int64_t)(seconds * 1e9);

    while (now < end_ns) {
        int64_t begin_ns = now;
        if (!probe_once(probe)) {
            return false;
        }
        now = now_ns();
        hist_add(hist, now - begin_ns);
    }
    return true;
}

static bool measure(const struct options *options, struct probe *probe)
{
    static struct hist warm_up, hist;
    struct figures_cpu begin, end;

    if (!repeat(probe, options->warm_up_s, &warm_up)) {
        return false;
    }
    figures_read_cpu(options->group, options->n_groups, &begin);
    if (!repeat(probe, options->window_s, &hist)) {
        return false;
    }
    figures_read_cpu(options->group, options->n_groups, &end);
    json_t *window =
        json_pack("{s:f, s:I, s:f, s:o, s:o}", "seconds", options->window_s, "answered",
                  (json_int_t)hist.n, "per_s", (double)hist.n / options->window_s,
                  "latency", figures_latency(&hist), "cpu_s",
                  figures_cpu(options->group, options->n_groups, &begin, &end));
    figures_print(json_pack("{s:i, s:i, s:I, s:I, s:i, s:o, s:[o]}", "connections", 1,
                            "rate", 0, "right", (json_int_t)hist.n, "changed",
                            (json_int_t)hist.n, "refused", 0, "curve",
                            figures_curve(&hist), "windows", window));
    return true;
}

int main(int argc, char **argv)
{
    struct options options;
    char why[400] = "a repetition failed";
    int status = 2;

    if (!parse(&options, argc, argv, &status)) {
        return status;
    }
    if (!dbconn_library_init()) {
        return 1;
    }
    struct probe *probe = probe_begin(options.probe, &options.with, why, sizeof why);
    bool good = probe != NULL && measure(&options, probe);
    probe_end(&probe);
    if (!good) {
        fprintf(stderr, "benchprobe: %s: %s\n", options.probe, why);
    }
    return good ? 0 : 1;
}
