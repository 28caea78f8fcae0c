/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The program of the ledger test: `run` loads a service and records the answers,
 * `finish` polls what has arrived since, `check` says whether the rows of the shards
 * follow from that. See ledger.test.js. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "tests/ledger/check.h"
#include "tests/ledger/load.h"
#include "tests/ledger/poll.h"

static const char usage[] =
    "usage: ledger run --world=FILE [--keys=FILE] --history=FILE --server=PORT.. "
    "[OPTION..]\n"
    "       ledger finish --world=FILE [--keys=FILE] --mailboxes=FILE --server=PORT..\n"
    "       ledger check --history=FILE --rows=FILE.. [--mailboxes=FILE] [OPTION..]\n"
    "\n"
    "run: clients that send random requests, each of which becomes a line of the "
    "history.\n"
    "  --world=FILE        users and videos that the clients know (see load.h)\n"
    "  --keys=FILE         token_keys_file of the servers; not needed if the world has\n"
    "                      tokens\n"
    "  --server=PORT       of a server on 127.0.0.1; may be repeated\n"
    "  --seconds=N         how long (10); SIGTERM ends it earlier\n"
    "  --clients=N         how many (64)\n"
    "  --timeout-ms=N      of one request (10000)\n"
    "  --seed=N            of the random numbers (1)\n"
    "  --hot-users=N --hot-videos=N --hot-percent=N\n"
    "                      how often one of the first N is chosen (40, 20, 50)\n"
    "  --mix=L,F,C,D,M,U,R[,V]\n"
    "                      shares of likes, follows, comments, deleted comments,\n"
    "                      messages, deleted videos, reads of users and of videos\n"
    "                      (35,25,12,6,15,0,7,0)\n"
    "  --pollers=N         more clients, which poll the first N chats of the world (0);\n"
    "                      half of the messages are sent there\n"
    "  --mailboxes=FILE    what they received\n"
    "  --strangers=PERCENT of the deletions of comments that somebody else tries (10)\n"
    "  --pause-ms=N        of a client between two requests (0)\n"
    "  --repeat-ms=N       how long to repeat a request that has no certain answer, "
    "with\n"
    "                      the same Idempotency-Key (0)\n"
    "  --progress-ms=N     how often to print a line about the requests (0: never), "
    "where\n"
    "                      those that were not done, for any reason, are errors\n"
    "\n"
    "finish: polls the mailboxes once more, and tries to read them as a stranger.\n"
    "\n"
    "check: prints violations and sums.\n"
    "  --rows=FILE         rows of a shard (see rows.h); may be repeated\n"
    "  --most=N            lines per invariant (5)\n"
    "  --stale-ms=N        how old the counters may be that were read (0)\n"
    "\n"
    "Exit status: 0 done, no violation; 1 violations; 2 misuse, or a bad file.\n";

struct options {
    struct load_options load;
    const char *world, *keys, *history, *mailboxes;
    const char *rows[16];
    size_t n_rows;
    unsigned most;
    unsigned stale_ms;
    unsigned progress_ms;
};

enum {
    OPTION_WORLD = 1,
    OPTION_KEYS,
    OPTION_HISTORY,
    OPTION_MAILBOXES,
    OPTION_ROWS,
    OPTION_SERVER,
    OPTION_SECONDS,
    OPTION_CLIENTS,
    OPTION_TIMEOUT,
    OPTION_SEED,
    OPTION_HOT_USERS,
    OPTION_HOT_VIDEOS,
    OPTION_HOT_PERCENT,
    OPTION_POLLERS,
    OPTION_MIX,
    OPTION_STRANGERS,
    OPTION_PAUSE_MS,
    OPTION_REPEAT_MS,
    OPTION_PROGRESS_MS,
    OPTION_MOST,
    OPTION_STALE_MS,
    OPTION_HELP
};

static const struct option long_options[] = {
    {"world", required_argument, NULL, OPTION_WORLD},
    {"keys", required_argument, NULL, OPTION_KEYS},
    {"history", required_argument, NULL, OPTION_HISTORY},
    {"mailboxes", required_argument, NULL, OPTION_MAILBOXES},
    {"rows", required_argument, NULL, OPTION_ROWS},
    {"server", required_argument, NULL, OPTION_SERVER},
    {"seconds", required_argument, NULL, OPTION_SECONDS},
    {"clients", required_argument, NULL, OPTION_CLIENTS},
    {"timeout-ms", required_argument, NULL, OPTION_TIMEOUT},
    {"seed", required_argument, NULL, OPTION_SEED},
    {"hot-users", required_argument, NULL, OPTION_HOT_USERS},
    {"hot-videos", required_argument, NULL, OPTION_HOT_VIDEOS},
    {"hot-percent", required_argument, NULL, OPTION_HOT_PERCENT},
    {"pollers", required_argument, NULL, OPTION_POLLERS},
    {"mix", required_argument, NULL, OPTION_MIX},
    {"strangers", required_argument, NULL, OPTION_STRANGERS},
    {"pause-ms", required_argument, NULL, OPTION_PAUSE_MS},
    {"repeat-ms", required_argument, NULL, OPTION_REPEAT_MS},
    {"progress-ms", required_argument, NULL, OPTION_PROGRESS_MS},
    {"most", required_argument, NULL, OPTION_MOST},
    {"stale-ms", required_argument, NULL, OPTION_STALE_MS},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0}};

/* Reads of videos may be left out: none. */
static bool parse_mix(const char *text, struct load_mix *mix)
{
    char *end = NULL;
    unsigned sum = 0;
    size_t n = 0;

    *mix = (struct load_mix){{0}};
    for (bool more = true; more; n++) {
        if (n == LEDGER_KIND__COUNT) {
            return false;
        }
        mix->of[n] = (unsigned)strtoul(text, &end, 10);
        sum += mix->of[n];
        if (end == text || (*end != ',' && *end != '\0')) {
            return false;
        }
        more = *end == ',';
        text = end + 1;
    }
    return n >= LEDGER_READ_VIDEO && sum > 0;
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
    case OPTION_POLLERS:
        load->pollers = (size_t)n;
        return n <= 64;
    case OPTION_STRANGERS:
        load->stranger_percent = (unsigned)n;
        return n <= 100;
    case OPTION_PAUSE_MS:
        load->pause_ms = (unsigned)n;
        return n <= 60000;
    case OPTION_REPEAT_MS:
        load->repeat_ms = (unsigned)n;
        return n <= 600000;
    case OPTION_PROGRESS_MS:
        options->progress_ms = (unsigned)n;
        return n <= 60000;
    case OPTION_STALE_MS:
        options->stale_ms = (unsigned)n;
        return true;
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
    case OPTION_MAILBOXES:
        options->mailboxes = text;
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

/* ---- run ---- */

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

static void print_run(const struct options *options, const struct ledger_history *history,
                      size_t not_sent)
{
    int64_t *durations = calloc(history->n + 1, sizeof *durations);

    CHECK(durations != NULL);
    printf("seed %" PRIu64 ", %u clients, %u s: %zu requests, %zu without a server\n",
           options->load.seed, options->load.clients, options->load.seconds, history->n,
           not_sent);
    for (enum ledger_kind kind = 0; kind < LEDGER_KIND__COUNT; kind++) {
        print_kind(history, kind, durations);
    }
    free(durations);
}

static void print_mailboxes(const struct ledger_mailboxes *mailboxes)
{
    for (size_t i = 0; i < mailboxes->n; i++) {
        const struct ledger_mailbox *mailbox = &mailboxes->all[i];
        size_t n = 0;
        for (size_t k = 0; k < mailbox->n_given; k++) {
            n += mailbox->given[k].viewer == mailbox->owner &&
                 mailbox->given[k].sender == mailbox->peer;
        }
        printf("mailbox of %" PRIu64 " with %" PRIu64
               ": %zu polls, %zu failures, %zu messages\n",
               mailbox->owner, mailbox->peer, mailbox->polls, mailbox->failures, n);
    }
}

static bool needs_videos(const struct load_mix *mix)
{
    return mix->of[LEDGER_LIKE] + mix->of[LEDGER_COMMENT] + mix->of[LEDGER_UNCOMMENT] +
               mix->of[LEDGER_UNPUBLISH] + mix->of[LEDGER_READ_VIDEO] >
           0;
}

/* Reads the world. False: the reason was printed. */
static bool open_world(const struct options *options, struct load_world *world)
{
    struct errmsg err;
    FILE *file = fopen(options->world, "r");

    if (file == NULL) {
        fail(options->world, strerror(errno)); // NOLINT(concurrency-mt-unsafe)
        return false;
    }
    bool good = load_world_read(world, file, options->keys, &err);
    (void)fclose(file);
    if (good && options->load.pollers > world->n_chats) {
        good = errmsg_set(&err, "there are only %zu chats", world->n_chats);
    }
    if (good && world->n_videos == world->n_ghost_videos &&
        needs_videos(&options->load.mix)) {
        good = errmsg_set(&err, "there is no video for what --mix has");
    }
    if (!good) {
        load_world_release(world);
        fail(options->world, err.text);
    }
    return good;
}

/* False: the reason was printed. Either may be NULL. */
static bool write_file(const char *name, const struct ledger_history *history,
                       const struct ledger_mailboxes *mailboxes)
{
    FILE *file = fopen(name, "w");
    bool good = file != NULL &&
                (history == NULL || ledger_history_write(history, file)) &&
                (mailboxes == NULL || ledger_mailboxes_write(mailboxes, file));

    good = file != NULL && fclose(file) == 0 && good;
    if (!good) {
        fail(name, "cannot be written");
    }
    return good;
}

static atomic_bool stop;

static void on_signal(int number)
{
    (void)number;
    atomic_store(&stop, true);
}

static int run(struct options *options)
{
    struct load_world world = {.n_users = 0};
    struct ledger_history history = {.n = 0};
    struct ledger_mailboxes mailboxes = {.n = 0};
    size_t not_sent = 0;

    if (options->world == NULL || options->history == NULL ||
        options->load.n_servers == 0 ||
        (options->load.pollers > 0 && options->mailboxes == NULL)) {
        return fail("run", "needs --world, --history and --server, for --pollers "
                           "also --mailboxes");
    }
    if (!open_world(options, &world)) {
        return 2;
    }
    const struct sigaction action = {.sa_handler = on_signal};
    (void)sigaction(SIGTERM, &action, NULL);
    if (options->progress_ms > 0) {
        options->load.progress = progress_start(stdout, options->progress_ms);
    }
    struct pollers *pollers = pollers_start(&world, &options->load);
    load_run(&world, &options->load, &history, &not_sent);
    progress_stop(&options->load.progress);
    pollers_stop(&pollers, &mailboxes);
    load_world_release(&world);

    bool good = write_file(options->history, &history, NULL);
    if (options->mailboxes != NULL) {
        good = write_file(options->mailboxes, NULL, &mailboxes) && good;
    }
    print_run(options, &history, not_sent);
    print_mailboxes(&mailboxes);
    ledger_history_release(&history);
    ledger_mailboxes_release(&mailboxes);
    return good ? 0 : 2;
}

/* ---- Files that run has written, and rows ---- */

static bool read_file(const char *name, struct ledger_history *history,
                      struct ledger_mailboxes *mailboxes, struct ledger_rows *rows)
{
    FILE *file = fopen(name, "r");
    size_t line = 0;
    bool good = file != NULL &&
                (history == NULL || ledger_history_read(history, file, &line)) &&
                (mailboxes == NULL || ledger_mailboxes_read(mailboxes, file, &line)) &&
                (rows == NULL || ledger_rows_read(rows, file, &line));

    if (file != NULL) {
        (void)fclose(file);
    }
    if (!good) {
        (void)fprintf(stderr, "ledger: %s: line %zu cannot be read\n", name, line);
    }
    return good;
}

/* ---- finish ---- */

static int finish(const struct options *options)
{
    struct load_world world = {.n_users = 0};
    struct ledger_mailboxes mailboxes = {.n = 0};
    bool good = false;

    if (options->world == NULL || options->mailboxes == NULL ||
        options->load.n_servers == 0) {
        return fail("finish", "needs --world, --mailboxes and --server");
    }
    if (!open_world(options, &world)) {
        return 2;
    }
    if (read_file(options->mailboxes, NULL, &mailboxes, NULL)) {
        good = pollers_finish(&world, &options->load, &mailboxes);
        if (!good) {
            fail("finish", "a mailbox is not of this world, or has no end");
        }
        print_mailboxes(&mailboxes);
        good = good && write_file(options->mailboxes, NULL, &mailboxes);
    }
    load_world_release(&world);
    ledger_mailboxes_release(&mailboxes);
    return good ? 0 : 2;
}

/* ---- check ---- */

static void print_report(const struct ledger_history *history,
                         const struct ledger_report *report)
{
    size_t writes = 0;

    for (size_t i = 0; i < history->n; i++) {
        writes += history->ops[i].kind < LEDGER_READ;
    }
    printf("%zu edges, %zu comments, %zu messages, %zu reads of counters\n",
           report->edges, report->comments, report->messages, report->reads);
    printf("%zu messages polled, %zu of them late\n", report->given, report->late);
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
    struct ledger_mailboxes mailboxes = {.n = 0};
    struct ledger_rows rows = {.outbox = 0};
    struct ledger_report report = {.out = stdout,
                                   .most = options->most,
                                   .stale_us = (int64_t)options->stale_ms * 1000};

    if (options->history == NULL || options->n_rows == 0) {
        return fail("check", "needs --history and --rows");
    }
    bool good = read_file(options->history, &history, NULL, NULL) &&
                (options->mailboxes == NULL ||
                 read_file(options->mailboxes, NULL, &mailboxes, NULL));
    for (size_t i = 0; good && i < options->n_rows; i++) {
        good = read_file(options->rows[i], NULL, NULL, &rows);
    }
    for (size_t i = 0; good && i < mailboxes.n; i++) {
        good = mailboxes.all[i].stranger != 0;
        if (!good) {
            fail(options->mailboxes, "was not finished");
        }
    }
    if (good) {
        ledger_check(&history, &rows, &mailboxes, &report);
        print_report(&history, &report);
    }
    ledger_history_release(&history);
    ledger_mailboxes_release(&mailboxes);
    ledger_rows_release(&rows);
    if (!good) {
        return 2;
    }
    return report.total == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct options options = {.load = {.stop = &stop,
                                       .clients = 64,
                                       .seconds = 10,
                                       .timeout_ms = 10000,
                                       .seed = 1,
                                       .hot_users = 40,
                                       .hot_videos = 20,
                                       .hot_percent = 50,
                                       .stranger_percent = 10,
                                       .mix = {{35, 25, 12, 6, 15, 0, 7, 0}}},
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
    if (optind + 1 == argc && strcmp(argv[optind], "finish") == 0) {
        return finish(&options);
    }
    if (optind + 1 == argc && strcmp(argv[optind], "check") == 0) {
        return check(&options);
    }
    (void)fputs(usage, stderr);
    return 2;
}
