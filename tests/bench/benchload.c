/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The load generator: one run against one service; prints the result as JSON. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/bench/figures.h"
#include "tests/bench/hold.h"
#include "tests/bench/load.h"

static const char usage[] =
    "usage: benchload --port=N --script=FILE [OPTION..]\n"
    "       benchload --port=N --script=FILE --hold=REQUESTS --connections=N\n"
    "\n"
    "Sends the lines of FILE (\"GET /ping\") as requests to 127.0.0.1 over keep-alive\n"
    "connections, and checks every answer. A % in a line is sent as 1 and 2 in turn:\n"
    "like, unlike. Prints JSON.\n"
    "\n"
    "  --connections=N    connections (64)\n"
    "  --threads=N        threads, 1 or 2 (1)\n"
    "  --rate=R           open loop: R requests per second are due, and latency counts\n"
    "                     from the time at which each was due; default: closed loop\n"
    "  --warm-up=S        seconds before the first window, which are not counted (1)\n"
    "  --window=S         seconds of one window (5)\n"
    "  --windows=N        number of windows, one after the other (1)\n"
    "  --body=TEXT        body of every answer; default: JSON with status_code 0\n"
    "  --array=NAME:N     member of every answer: an array of N or more elements\n"
    "  --states=FILE      whether each line with a % was last sent with 1 or 2: read\n"
    "                     at the start, written at the end\n"
    "  --cpu=NAME=PID,..  report the CPU time of these processes; may be repeated\n"
    "  --hold=REQUESTS    no load: open the connections, send this many requests on\n"
    "                     each, print a line, and keep them until standard input ends\n"
    "\n"
    "Exit status: 0 done; 1 an answer was wrong, or the service did not answer;\n"
    "2 misuse.\n";

struct options {
    struct load_options load;
    const char *script, *states;
    char array[64];
    long hold; /* -1: no */
    struct cpu_group group[FIGURES_GROUPS_MAX];
    size_t n_groups;
    struct figures_cpu cpu[LOAD_WINDOWS_MAX + 1]; /* where windows begin and end */
};

enum {
    OPTION_PORT = 1,
    OPTION_SCRIPT,
    OPTION_CONNECTIONS,
    OPTION_THREADS,
    OPTION_RATE,
    OPTION_WARM_UP,
    OPTION_WINDOW,
    OPTION_WINDOWS,
    OPTION_BODY,
    OPTION_ARRAY,
    OPTION_STATES,
    OPTION_CPU,
    OPTION_HOLD,
    OPTION_HELP
};

static const struct option long_options[] = {
    {"port", required_argument, NULL, OPTION_PORT},
    {"script", required_argument, NULL, OPTION_SCRIPT},
    {"connections", required_argument, NULL, OPTION_CONNECTIONS},
    {"threads", required_argument, NULL, OPTION_THREADS},
    {"rate", required_argument, NULL, OPTION_RATE},
    {"warm-up", required_argument, NULL, OPTION_WARM_UP},
    {"window", required_argument, NULL, OPTION_WINDOW},
    {"windows", required_argument, NULL, OPTION_WINDOWS},
    {"body", required_argument, NULL, OPTION_BODY},
    {"array", required_argument, NULL, OPTION_ARRAY},
    {"states", required_argument, NULL, OPTION_STATES},
    {"cpu", required_argument, NULL, OPTION_CPU},
    {"hold", required_argument, NULL, OPTION_HOLD},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0}};

static bool parse_array(struct options *options, const char *text)
{
    const char *colon = strrchr(text, ':');

    if (colon == NULL || (size_t)(colon - text) >= sizeof options->array) {
        return false;
    }
    memcpy(options->array, text, (size_t)(colon - text));
    options->load.wanted.array = options->array;
    options->load.wanted.array_min = strtoul(colon + 1, NULL, 10);
    return true;
}

static bool set_text(struct options *options, int which, const char *text)
{
    switch (which) {
    case OPTION_SCRIPT:
        options->script = text;
        return true;
    case OPTION_BODY:
        options->load.wanted.body = text;
        return true;
    case OPTION_STATES:
        options->states = text;
        return true;
    case OPTION_ARRAY:
        return parse_array(options, text);
    case OPTION_CPU:
        return options->n_groups < FIGURES_GROUPS_MAX &&
               cpu_parse(&options->group[options->n_groups++], text);
    default:
        return false;
    }
}

static bool set_number(struct options *options, int which, double n)
{
    struct load_options *load = &options->load;

    switch (which) {
    case OPTION_PORT:
        load->port = (uint16_t)n;
        return n >= 1 && n <= UINT16_MAX;
    case OPTION_CONNECTIONS:
        load->connections = (size_t)n;
        return n >= 1 && n <= LOAD_CONNECTIONS_MAX;
    case OPTION_THREADS:
        load->threads = (size_t)n;
        return n >= 1 && n <= LOAD_THREADS_MAX;
    case OPTION_RATE:
        load->per_s = n;
        return n > 0 && n <= 1e7;
    case OPTION_WARM_UP:
        load->warm_up_ns = (int64_t)(n * 1e9);
        return n >= 0 && n <= 3600;
    case OPTION_WINDOW:
        load->window_ns = (int64_t)(n * 1e9);
        return n >= 0.01 && n <= 3600;
    case OPTION_WINDOWS:
        load->windows = (size_t)n;
        return n >= 1 && n <= LOAD_WINDOWS_MAX;
    case OPTION_HOLD:
        options->hold = (long)n;
        return n >= 0 && n <= 100;
    default:
        return false;
    }
}

static bool set_option(struct options *options, int which, const char *text)
{
    char *end = NULL;

    if (set_text(options, which, text)) {
        return true;
    }
    double n = strtod(text, &end);
    return end != text && *end == '\0' && set_number(options, which, n);
}

static bool is_complete(const struct options *options)
{
    return options->load.port != 0 && options->script != NULL &&
           options->load.connections >= options->load.threads;
}

/* True: go on. False: exit with *STATUS; the usage has been printed. */
static bool parse(struct options *options, int argc, char **argv, int *status)
{
    int which;

    *options = (struct options){.hold = -1,
                                .load = {.connections = 64,
                                         .threads = 1,
                                         .warm_up_ns = INT64_C(1000000000),
                                         .window_ns = INT64_C(5000000000),
                                         .windows = 1}};
    // NOLINTNEXTLINE(concurrency-mt-unsafe): before the first thread
    while ((which = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (which == OPTION_HELP || which == '?' || !set_option(options, which, optarg)) {
            *status = which == OPTION_HELP ? 0 : 2;
            (void)fputs(usage, *status == 0 ? stdout : stderr);
            return false;
        }
    }
    if (optind < argc || !is_complete(options)) {
        (void)fputs(usage, stderr);
        *status = 2;
        return false;
    }
    return true;
}

static void read_cpu(void *context, size_t i)
{
    struct options *options = context;

    figures_read_cpu(options->group, options->n_groups, &options->cpu[i]);
}

static json_t *window_json(const struct options *options,
                           const struct load_result *result, size_t i)
{
    const struct window *window = &result->window[i];
    double seconds = (double)options->load.window_ns / 1e9;

    return json_pack("{s:f, s:I, s:f, s:I, s:I, s:I, s:o, s:o}", "seconds", seconds,
                     "answered", (json_int_t)window->answered, "per_s",
                     (double)window->answered / seconds, "changed",
                     (json_int_t)window->changed, "refused", (json_int_t)window->refused,
                     "bytes", (json_int_t)window->bytes, "latency",
                     figures_latency(&window->latency), "cpu_s",
                     figures_cpu(options->group, options->n_groups, &options->cpu[i],
                                 &options->cpu[i + 1]));
}

/* The latency curve of all windows together. */
static json_t *curve_json(const struct load_result *result, size_t windows)
{
    struct hist *all = calloc(1, sizeof *all);

    CHECK(all != NULL);
    for (size_t i = 0; i < windows; i++) {
        hist_merge(all, &result->window[i].latency);
    }
    json_t *json = figures_curve(all);
    free(all);
    return json;
}

static void print_result(const struct options *options, const struct script *script,
                         const struct load_result *result)
{
    const struct load_options *load = &options->load;
    json_t *windows = json_array();
    json_t *json = json_pack(
        "{s:I, s:I, s:f, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:I, s:I}", "connections",
        (json_int_t)load->connections, "threads", (json_int_t)load->threads, "rate",
        load->per_s, "right", (json_int_t)result->right, "changed",
        (json_int_t)result->changed, "refused", (json_int_t)result->refused, "refusal",
        (json_int_t)result->refusal, "lost", (json_int_t)result->lost, "wrong",
        (json_int_t)result->wrong, "first_wrong", result->first_wrong, "switches_on",
        (json_int_t)script_count(script, SWITCH_ON), "switches_unknown",
        (json_int_t)script_count(script, SWITCH_UNKNOWN));

    CHECK(json != NULL && windows != NULL);
    for (size_t i = 0; i < load->windows; i++) {
        json_array_append_new(windows, window_json(options, result, i));
    }
    json_object_set_new(json, "reconnects", json_integer((json_int_t)result->reconnects));
    json_object_set_new(json, "windows", windows);
    json_object_set_new(json, "curve", curve_json(result, load->windows));
    figures_print(json);
}

/* Allow as many descriptors as the connections need, and a few more. */
static void raise_descriptors(size_t connections)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < connections + 64) {
        limit.rlim_cur = connections + 64;
        if (limit.rlim_max < limit.rlim_cur) {
            limit.rlim_max = limit.rlim_cur;
        }
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
            perror("benchload: RLIMIT_NOFILE");
        }
    }
}

/* Returns the exit status. */
static int run(struct options *options, struct script *script)
{
    struct load_result *result = calloc(1, sizeof *result);
    char why[LOAD_WHY_BYTES];
    int status = 1;

    CHECK(result != NULL);
    if (!load_run(&options->load, script, read_cpu, options, result, why)) {
        fprintf(stderr, "benchload: %s\n", why);
        goto out;
    }
    print_result(options, script, result);
    if (options->states != NULL &&
        !script_save_states(script, options->states, script->first + result->right)) {
        fprintf(stderr, "benchload: %s cannot be written\n", options->states);
        goto out;
    }
    status = result->wrong > 0;
out:
    free(result);
    return status;
}

/* Returns the exit status. */
static int work(struct options *options)
{
    struct script script;
    char why[LOAD_WHY_BYTES];
    int status = 1;

    raise_descriptors(options->load.connections);
    if (!script_load(&script, options->script, why, sizeof why)) {
        fprintf(stderr, "benchload: %s\n", why);
        return 1;
    }
    if (options->states != NULL && !script_load_states(&script, options->states)) {
        fprintf(stderr, "benchload: %s belongs to another script\n", options->states);
    } else if (options->hold >= 0) {
        status = hold(&options->load, &script, options->hold);
    } else {
        status = run(options, &script);
    }
    script_release(&script);
    return status;
}

int main(int argc, char **argv)
{
    struct options *options = calloc(1, sizeof *options);
    int status = 2;

    CHECK(options != NULL);
    if (parse(options, argc, argv, &status)) {
        status = work(options);
    }
    free(options);
    return status;
}
