/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The ledger test's program: `run` loads a service and writes down what it was told,
 * `check` says whether what the shards hold follows from that. See ledger.test.js. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tests/ledger/check.h"
#include "tests/ledger/load.h"

static const char usage[] =
    "usage: ledger run --world=FILE --keys=FILE --history=FILE --server=PORT.. "
    "[OPTION..]\n"
    "       ledger check --history=FILE --rows=FILE.. [--most=N]\n"
    "\n"
    "run: clients that do random things; every request becomes a line of the history.\n"
    "  --world=FILE        whom the clients know (see load.h)\n"
    "  --keys=FILE         token_keys_file of the servers\n"
    "  --server=PORT       of a server on 127.0.0.1; may be repeated\n"
    "  --seconds=N         how long (10)\n"
    "  --clients=N         how many (64)\n"
    "  --timeout-ms=N      of one request (10000)\n"
    "  --seed=N            everything random follows from it (1)\n"
    "  --hot-users=N --hot-videos=N --hot-percent=N\n"
    "                      the first N are chosen so often (40, 20, 50)\n"
    "  --mix=L,F,C,D,M,U,R shares of likes, follows, comments, deleted comments,\n"
    "                      messages, deleted videos, reads (35,25,12,6,15,0,7)\n"
    "\n"
    "check: prints violations and sums.\n"
    "  --rows=FILE         rows of a shard (see rows.h); may be repeated\n"
    "  --most=N            lines per invariant (5)\n"
    "\n"
    "Exit status: 0 done, no violation; 1 violations; 2 misuse, or a file is not "
    "right.\n";

struct options {
    struct load_options load;
    const char *world, *keys, *history;
    const char *rows[16];
    size_t n_rows;
    unsigned most;
};

enum {
    OPTION_WORLD = 1,
    OPTION_KEYS,
    OPTION_HISTORY,
    OPTION_ROWS,
    OPTION_SERVER,
    OPTION_SECONDS,
    OPTION_CLIENTS,
    OPTION_TIMEOUT,
    OPTION_SEED,
    OPTION_HOT_USERS,
    OPTION_HOT_VIDEOS,
    OPTION_HOT_PERCENT,
    OPTION_MIX,
    OPTION_MOST,
    OPTION_HELP
};

static const struct option long_options[] = {
    {"world", required_argument, NULL, OPTION_WORLD},
    {"keys", required_argument, NULL, OPTION_KEYS},
    {"history", required_argument, NULL, OPTION_HISTORY},
    {"rows", required_argument, NULL, OPTION_ROWS},
    {"server", required_argument, NULL, OPTION_SERVER},
    {"seconds", required_argument, NULL, OPTION_SECONDS},
    {"clients", required_argument, NULL, OPTION_CLIENTS},
    {"timeout-ms", required_argument, NULL, OPTION_TIMEOUT},
    {"seed", required_argument, NULL, OPTION_SEED},
    {"hot-users", required_argument, NULL, OPTION_HOT_USERS},
    {"hot-videos", required_argument, NULL, OPTION_HOT_VIDEOS},
    {"hot-percent", required_argument, NULL, OPTION_HOT_PERCENT},
    {"mix", required_argument, NULL, OPTION_MIX},
    {"most", required_argument, NULL, OPTION_MOST},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0}};

static bool parse_mix(const char *text, struct load_mix *mix)
{
    char *end = NULL;
    unsigned sum = 0;

    for (size_t i = 0; i < LEDGER_KIND__COUNT; i++) {
        mix->of[i] = (unsigned)strtoul(text, &end, 10);
        sum += mix->of[i];
        if (end == text || *end != (i + 1 < LEDGER_KIND__COUNT ? ',' : '\0')) {
            return false;
        }
        text = end + 1;
    }
    return sum > 0;
}

/* Options that are numbers. */
static bool set_number(struct options *options, int which, const char *text)
{
    struct load_options *load = &options->load;
    char *end = NULL;
    uint64_t n = strtoull(text, &end, 10);

    if (end == text || *end != '\0') {
        return false;
    }
    switch (which) {
    case OPTION_SERVER:
        if (load->n_servers == LOAD_SERVERS_MAX || n == 0 || n > UINT16_MAX) {
            return false;
        }
        load->ports[load->n_servers++] = (uint16_t)n;
        return true;
    case OPTION_SECONDS:
        load->seconds = (unsigned)n;
        return true;
    case OPTION_CLIENTS:
        load->clients = (unsigned)n;
        return n > 0 && n <= 1024;
    case OPTION_TIMEOUT:
        load->timeout_ms = (int)n;
        return n > 0 && n <= 600000;
    case OPTION_SEED:
        load->seed = n;
        return true;
    case OPTION_HOT_USERS:
        load->hot_users = (size_t)n;
        return true;
    case OPTION_HOT_VIDEOS:
        load->hot_videos = (size_t)n;
        return true;
    case OPTION_HOT_PERCENT:
        load->hot_percent = (unsigned)n;
        return n <= 100;
    case OPTION_MOST:
        options->most = (unsigned)n;
        return true;
    default:
        return false;
    }
}

static bool set_option(struct options *options, int which, const char *text)
{
    switch (which) {
    case OPTION_WORLD:
        options->world = text;
        return true;
    case OPTION_KEYS:
        options->keys = text;
        return true;
    case OPTION_HISTORY:
        options->history = text;
        return true;
    case OPTION_ROWS:
        if (options->n_rows == ARRAY_LEN(options->rows)) {
            return false;
        }
        options->rows[options->n_rows++] = text;
        return true;
    case OPTION_MIX:
        return parse_mix(text, &options->load.mix);
    default:
        return text != NULL && set_number(options, which, text);
    }
}

static int fail(const char *what, const char *why)
{
    (void)fprintf(stderr, "ledger: %s: %s\n", what, why);
    return 2;
}

/* --- run --- */

static int compare_durations(const void *a, const void *b)
{
    const int64_t *x = a;
    const int64_t *y = b;

    return (*x > *y) - (*x < *y);
}

static void print_kind(const struct ledger_history *history, enum ledger_kind kind,
                       int64_t *durations)
{
    size_t outcomes[LEDGER_OUTCOME__COUNT] = {0};
    size_t n = 0;

    for (size_t i = 0; i < history->n; i++) {
        const struct ledger_op *op = &history->ops[i];
        if (op->kind == kind) {
            outcomes[op->outcome]++;
            durations[n++] = op->returned_us - op->invoked_us;
        }
    }
    if (n == 0) {
        return;
    }
    size_t median = n / 2;
    size_t late = n - 1 - n / 100;
    qsort(durations, n, sizeof *durations, compare_durations);
    printf("%-10s %8zu ok %6zu fail %6zu unknown   p50 %7.1f ms   p99 %7.1f ms\n",
           ledger_kind_name(kind), outcomes[LEDGER_OK], outcomes[LEDGER_FAIL],
           outcomes[LEDGER_UNKNOWN], (double)durations[median] / 1000,
           (double)durations[late] / 1000);
}

static int run(const struct options *options)
{
    struct load_world world = {.n_users = 0};
    struct ledger_history history = {.n = 0};
    char why[256];
    size_t not_sent = 0;

    if (options->world == NULL || options->keys == NULL || options->history == NULL ||
        options->load.n_servers == 0) {
        return fail("run", "needs --world, --keys, --history and --server");
    }
    FILE *file = fopen(options->world, "r");
    if (file == NULL) {
        return fail(options->world, strerror(errno)); // NOLINT(concurrency-mt-unsafe)
    }
    bool good = load_world_read(&world, file, options->keys, why, sizeof why);
    (void)fclose(file);
    if (!good) {
        load_world_release(&world);
        return fail(options->world, why);
    }
    load_run(&world, &options->load, &history, &not_sent);
    load_world_release(&world);

    file = fopen(options->history, "w");
    good = file != NULL && ledger_history_write(&history, file);
    good = file != NULL && fclose(file) == 0 && good;
    int64_t *durations = calloc(history.n + 1, sizeof *durations);
    CHECK(durations != NULL);
    printf("seed %" PRIu64 ", %u clients, %u s: %zu requests, %zu without a server\n",
           options->load.seed, options->load.clients, options->load.seconds, history.n,
           not_sent);
    for (enum ledger_kind kind = 0; kind < LEDGER_KIND__COUNT; kind++) {
        print_kind(&history, kind, durations);
    }
    free(durations);
    ledger_history_release(&history);
    return good ? 0 : fail(options->history, "cannot be written");
}

/* --- check --- */

static bool read_history(const char *name, struct ledger_history *history)
{
    FILE *file = fopen(name, "r");
    size_t line = 0;
    bool good = file != NULL && ledger_history_read(history, file, &line);

    if (file != NULL) {
        (void)fclose(file);
    }
    if (!good) {
        (void)fprintf(stderr, "ledger: %s: line %zu cannot be read\n", name, line);
    }
    return good;
}

static bool read_rows(const char *name, struct ledger_rows *rows)
{
    FILE *file = fopen(name, "r");
    size_t line = 0;
    bool good = file != NULL && ledger_rows_read(rows, file, &line);

    if (file != NULL) {
        (void)fclose(file);
    }
    if (!good) {
        (void)fprintf(stderr, "ledger: %s: line %zu cannot be read\n", name, line);
    }
    return good;
}

static void print_report(const struct ledger_history *history,
                         const struct ledger_report *report)
{
    size_t writes = 0;

    for (size_t i = 0; i < history->n; i++) {
        writes += history->ops[i].kind != LEDGER_READ;
    }
    printf("%zu edges, %zu comments, %zu messages, %zu reads of counters\n",
           report->edges, report->comments, report->messages, report->reads);
    printf("%zu of %zu writing requests changed a row (%.0f %%)\n", report->changes,
           writes, writes == 0 ? 0.0 : 100.0 * (double)report->changes / (double)writes);
    for (size_t i = 0; i < INVARIANT__COUNT; i++) {
        if (report->violations[i] > 0) {
            printf("I%zu: %zu violations\n", i, report->violations[i]);
        }
    }
    printf("%zu violations\n", report->total);
}

static int check(const struct options *options)
{
    struct ledger_history history = {.n = 0};
    struct ledger_rows rows = {.outbox = 0};
    struct ledger_report report = {.out = stdout, .most = options->most};

    if (options->history == NULL || options->n_rows == 0) {
        return fail("check", "needs --history and --rows");
    }
    bool good = read_history(options->history, &history);
    for (size_t i = 0; good && i < options->n_rows; i++) {
        good = read_rows(options->rows[i], &rows);
    }
    if (good) {
        ledger_check(&history, &rows, &report);
        print_report(&history, &report);
    }
    ledger_history_release(&history);
    ledger_rows_release(&rows);
    if (!good) {
        return 2;
    }
    return report.total == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct options options = {.load = {.clients = 64,
                                       .seconds = 10,
                                       .timeout_ms = 10000,
                                       .seed = 1,
                                       .hot_users = 40,
                                       .hot_videos = 20,
                                       .hot_percent = 50,
                                       .mix = {{35, 25, 12, 6, 15, 0, 7}}},
                              .most = 5};
    int which;

    // NOLINTNEXTLINE(concurrency-mt-unsafe): before the first thread
    while ((which = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (which == OPTION_HELP) {
            (void)fputs(usage, stdout);
            return 0;
        }
        if (which == '?' || !set_option(&options, which, optarg)) {
            return fail("an option is not right", "see --help");
        }
    }
    if (optind + 1 == argc && strcmp(argv[optind], "run") == 0) {
        return run(&options);
    }
    if (optind + 1 == argc && strcmp(argv[optind], "check") == 0) {
        return check(&options);
    }
    (void)fputs(usage, stderr);
    return 2;
}
