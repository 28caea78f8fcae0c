/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The operators' tool for all shards at once; see usage below. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shard/base/clock.h"
#include "shard/base/log.h"

#include "shard/audit.h"
#include "shard/dbconn.h"
#include "shard/id.h"
#include "shard/router.h"
#include "shard/router_call.h"

#include "server/topology.h"
#include "server/version.h"

static const char usage[] =
    "usage: shardctl audit --password-file=FILE [OPTION..]\n"
    "\n"
    "audit: compare every counter with its rows, and both halves of every like, follow,\n"
    "comment and message, over all owners of all shards. Reads only, may run while the\n"
    "service does. One line on standard output per difference, progress on standard "
    "error.\n"
    "\n"
    "  --topology=FILE       the shards, as the server reads them (topology_file);\n"
    "                        unless given, topology.conf in the directory of "
    "doushard.conf\n"
    "  --user=NAME           account (doushard_monitor; doushard_admin will do)\n"
    "  --password-file=FILE  its password, on the first line\n"
    "  --db-name=NAME        (doushard)\n"
    "  --tls-ca=FILE         the shards must prove themselves against this\n"
    "  --shard=NAME          start from the owners of this shard alone; their other "
    "halves\n"
    "                        are looked for on all\n"
    "  --checkpoint=FILE     note there how far it got; when FILE exists go on from "
    "there.\n"
    "                        Removed at the end\n"
    "  --json                differences as JSON objects, one per line\n"
    "  --help\n"
    "\n"
    "What a line means:\n"
    "\n"
    "  shard1 slot 17 owners 139264 - : follow_count is 3, its rows are 2\n"
    "      A counter of this user is wrong. CALL user_audit(id) says more, CALL\n"
    "      user_repair(id) counts again; both as doushard_admin on this shard.\n"
    "  shard1 slot 17 follow 139264 -> 147456 : the second half is missing\n"
    "      The row is on shard1; what belongs to it in the slot of 147456 is not as it\n"
    "      should be, and nothing waits in the outbox. Owner and other of follow, "
    "follower,\n"
    "      favorite, sent and received are its user and the other party; of liker and\n"
    "      comment, the video and the user; of commented, the user and the video.\n"
    "\n"
    "What waits in the outbox is no difference: CALL outbox_status() counts it, and "
    "names\n"
    "rows that were given up (parked).\n"
    "\n"
    "Exit status: 0 no difference; 1 differences; 2 misuse, or a shard could not be "
    "read:\n"
    "with --checkpoint the same command goes on where it stopped.\n";

#define CONNECT_MS      2000
#define CALL_MS         30000
#define DISCOVER_MS     10000
#define PAGE_BYTES      ((size_t)64 << 20)
#define TRIES_MAX       5
#define REPORT_EVERY_MS 2000
#define TEXT_MAX        256

struct options {
    const char *topology;
    const char *user;
    const char *password_file;
    const char *db_name;
    const char *tls_ca;
    const char *shard;
    const char *checkpoint;
    bool is_json;
};

/* A run of the auditor. */
struct run {
    const struct options *options;
    struct router *router;
    const struct topology *topology;
    size_t shard; /* index in the topology */
    struct audit_place place;
    uint64_t n_rows;
    uint64_t n_differences;
    int64_t begin_ms;
    int64_t reported_ms;
    double begun_at; /* the share that an earlier run had done */
};

static int fail(const char *what, const char *why)
{
    (void)fprintf(stderr, "shardctl: %s: %s\n", what, why);
    return 2;
}

static const char *error_text(void)
{
    return strerror(errno); // NOLINT(concurrency-mt-unsafe): one thread prints
}

/* --- The checkpoint --- */

/* Replace the file by one line: nobody finds half of it. */
static bool checkpoint_write(const struct run *run)
{
    char name[4096];
    const struct audit_place *place = &run->place;

    if (run->options->checkpoint == NULL) {
        return true;
    }
    if (snprintf(name, sizeof name, "%s.new", run->options->checkpoint) >=
        (int)sizeof name) {
        return false;
    }
    FILE *file = fopen(name, "w");
    if (file == NULL) {
        return false;
    }
    bool good = fprintf(file,
                        "doushard-audit 1 %s %s %" PRIu32 " %" PRIu64 " %" PRIu64
                        " %" PRIu64 " rows %" PRIu64 " differences %" PRIu64 "\n",
                        run->topology->servers[run->shard].name,
                        audit_part_name(place->part), place->slot, place->owner,
                        place->other, place->seq, run->n_rows, run->n_differences) > 0;
    good = fclose(file) == 0 && good;
    return good && rename(name, run->options->checkpoint) == 0;
}

static size_t shard_named(const struct topology *topology, const char *name)
{
    size_t i = 0;

    while (i < topology->n_servers && strcmp(topology->servers[i].name, name) != 0) {
        i++;
    }
    return i;
}

/* Go on from the checkpoint, if there is one. False: it is there and makes no sense. */
static bool checkpoint_read(struct run *run)
{
    char shard[32];
    char part[32];
    struct audit_place *place = &run->place;
    FILE *file =
        run->options->checkpoint == NULL ? NULL : fopen(run->options->checkpoint, "r");

    if (file == NULL) {
        return run->options->checkpoint == NULL || errno == ENOENT;
    }
    // NOLINTNEXTLINE(cert-err34-c): a number too large only begins somewhere else
    int n = fscanf(file,
                   "doushard-audit 1 %31s %31s %" SCNu32 " %" SCNu64 " %" SCNu64
                   " %" SCNu64 " rows %" SCNu64 " differences %" SCNu64,
                   shard, part, &place->slot, &place->owner, &place->other, &place->seq,
                   &run->n_rows, &run->n_differences);
    (void)fclose(file);
    if (n != 8) {
        return false;
    }
    place->part = audit_part_from(part);
    run->shard = shard_named(run->topology, shard);
    return place->part < AUDIT_PART__COUNT && run->shard < run->topology->n_servers &&
           (run->options->shard == NULL || strcmp(run->options->shard, shard) == 0);
}

/* --- What is printed --- */

static void print_difference(void *context, const struct audit_difference *d)
{
    struct run *run = context;
    const char *shard = run->topology->servers[run->shard].name;
    char other[24] = "-";

    run->n_differences++;
    if (run->options->is_json) {
        printf("{\"shard\":\"%s\",\"slot\":%" PRIu32
               ",\"table\":\"%s\",\"owner\":%" PRIu64 ",\"other\":%" PRIu64
               ",\"seq\":%" PRIu64 ",\"problem\":\"%s\"}\n",
               shard, d->slot, audit_part_name(d->part), d->owner, d->other, d->seq,
               d->problem);
        return;
    }
    if (d->other == 0) {
        printf("%s slot %" PRIu32 " %s %" PRIu64 " - : %s\n", shard, d->slot,
               audit_part_name(d->part), d->owner, d->problem);
        return;
    }
    if (d->seq != 0) {
        (void)snprintf(other, sizeof other, " #%" PRIu64, d->seq);
    }
    printf("%s slot %" PRIu32 " %s %" PRIu64 " -> %" PRIu64 "%s : %s\n", shard, d->slot,
           audit_part_name(d->part), d->owner, d->other, d->seq != 0 ? other : "",
           d->problem);
}

/* How much is done, 0 to 1. Slots are taken for equally full, and parts too. */
static double share_done(const struct run *run)
{
    double slot = (double)run->place.slot / SHARED_SLOTS;
    double part = (double)run->place.part + (slot < 1 ? slot : 1);
    double n = run->options->shard != NULL ? 1 : (double)run->topology->n_servers;
    double shard = run->options->shard != NULL ? 0 : (double)run->shard;

    return (shard + part / AUDIT_PART__COUNT) / n;
}

static void report_progress(struct run *run)
{
    int64_t now_ms = clock_mono_ms();
    double done = share_done(run);
    double new_done = done - run->begun_at;

    if (now_ms - run->reported_ms < REPORT_EVERY_MS) {
        return;
    }
    run->reported_ms = now_ms;
    double passed_s = (double)(now_ms - run->begin_ms) / 1000;
    double left_s = new_done > 0.001 ? passed_s * (1 - done) / new_done : 0;
    (void)fprintf(stderr,
                  "%5.1f %%  %s %s  %" PRIu64 " rows, %" PRIu64
                  " differences, %.0f s, about %.0f s left\n",
                  100 * done, run->topology->servers[run->shard].name,
                  audit_part_name(run->place.part), run->n_rows, run->n_differences,
                  passed_s, left_s);
}

/* --- The run --- */

/* One page, tried again while the shards are not there. */
static enum outcome check_page(struct run *run, char *why, size_t size)
{
    const struct audit audit = {
        .router = run->router, .found = print_difference, .context = run};
    enum outcome outcome = OUTCOME_OK;
    size_t n_rows = 0;

    for (unsigned i = 0; i < TRIES_MAX; i++) {
        struct arena arena;
        struct call call;
        arena_init(&arena, PAGE_BYTES);
        call_init(&call, &arena, clock_mono_ms() + CALL_MS);
        outcome = audit_page(&audit, &call, run->shard, &run->place, &n_rows);
        (void)snprintf(why, size, "%s: %s", outcome_name(outcome), call.detail);
        arena_release(&arena);
        if (outcome == OUTCOME_OK) {
            run->n_rows += n_rows;
            return outcome;
        }
        (void)router_discover(run->router, clock_mono_ms() + CONNECT_MS);
    }
    return outcome;
}

/* The shard from run->place on. 0: done; else the exit status. */
static int check_shard(struct run *run)
{
    char why[TEXT_MAX];

    while (run->place.part < AUDIT_PART__COUNT) {
        if (check_page(run, why, sizeof why) != OUTCOME_OK) {
            return fail(run->topology->servers[run->shard].name, why);
        }
        if (fflush(stdout) != 0) {
            return fail("standard output", error_text());
        }
        if (run->place.part == AUDIT_PART__COUNT) {
            break;
        }
        report_progress(run);
        if (!checkpoint_write(run)) {
            return fail(run->options->checkpoint, error_text());
        }
    }
    return 0;
}

static int check_all(struct run *run)
{
    size_t end = run->options->shard != NULL ? run->shard + 1 : run->topology->n_servers;
    int status = 0;

    run->begin_ms = run->reported_ms = clock_mono_ms();
    run->begun_at = share_done(run);
    while (status == 0 && run->shard < end) {
        status = check_shard(run);
        if (status == 0) {
            run->place = (struct audit_place){.part = AUDIT_OWNERS};
            run->shard++;
        }
    }
    if (status != 0) {
        return status;
    }
    if (run->options->checkpoint != NULL) {
        (void)unlink(run->options->checkpoint);
    }
    (void)fprintf(stderr, "%" PRIu64 " rows checked, %" PRIu64 " differences\n",
                  run->n_rows, run->n_differences);
    return run->n_differences == 0 ? 0 : 1;
}

static bool read_password(const char *name, char *password, size_t size)
{
    FILE *file = fopen(name, "r");
    bool good = file != NULL && fgets(password, (int)size, file) != NULL;

    if (file != NULL) {
        (void)fclose(file);
    }
    if (good) {
        password[strcspn(password, "\r\n")] = '\0';
    }
    return good;
}

/* Why the router does not know the owner of every slot. */
static void explain_shards(struct router *router)
{
    struct router_shard_state state;

    for (size_t i = 0; i < router_n_shards(router); i++) {
        router_shard_state(router, i, &state);
        if (!state.up) {
            (void)fail(state.name, state.reason);
        }
    }
}

static int audit_with(const struct options *options, const struct topology *topology,
                      const char *password)
{
    const struct router_options router_options = {.servers = topology->servers,
                                                  .n_servers = topology->n_servers,
                                                  .db_name = options->db_name,
                                                  .user = options->user,
                                                  .password = password,
                                                  .tls_ca = options->tls_ca,
                                                  .pool_size = 2,
                                                  .waiters_max = 4,
                                                  .connect_timeout_ms = CONNECT_MS,
                                                  .call_timeout_ms = CALL_MS,
                                                  .hold_down_ms = 500,
                                                  .idle_ms = 60000};
    struct run run = {.options = options, .topology = topology};

    if (options->shard != NULL) {
        run.shard = shard_named(topology, options->shard);
        if (run.shard == topology->n_servers) {
            return fail(options->shard, "the topology names no such shard");
        }
    }
    if (!checkpoint_read(&run)) {
        return fail(options->checkpoint, "this is no checkpoint of this audit");
    }
    run.router = router_new(&router_options);
    if (run.router == NULL) {
        return fail("router", "out of memory");
    }
    int status = 2;
    if (router_discover(run.router, clock_mono_ms() + DISCOVER_MS)) {
        status = check_all(&run);
    } else {
        explain_shards(run.router);
        (void)fail("audit", "not every slot has an owner that answers");
    }
    router_free(&run.router);
    return status;
}

static int audit(const struct options *options)
{
    char topology_file[4096];
    char password[TEXT_MAX];
    struct topology topology;
    struct config_error err;

    if (options->password_file == NULL) {
        return fail("audit", "--password-file is missing");
    }
    if (!read_password(options->password_file, password, sizeof password)) {
        return fail(options->password_file, "cannot be read, or is empty");
    }
    if (options->topology != NULL) {
        (void)snprintf(topology_file, sizeof topology_file, "%s", options->topology);
    } else {
        (void)snprintf(topology_file, sizeof topology_file, "%s/topology.conf",
                       version_sysconfdir());
    }
    if (!topology_read(&topology, topology_file, "", &err)) {
        return fail("topology", err.text);
    }
    for (size_t i = 0; i < topology.n_servers; i++) {
        topology.servers[i].durability_exempt = true; /* nothing is written */
    }
    int status = audit_with(options, &topology, password);
    topology_release(&topology);
    explicit_bzero(password, sizeof password);
    return status;
}

/* --- Options --- */

static const struct option long_options[] = {
    {"topology", required_argument, NULL, 't'},
    {"user", required_argument, NULL, 'u'},
    {"password-file", required_argument, NULL, 'p'},
    {"db-name", required_argument, NULL, 'd'},
    {"tls-ca", required_argument, NULL, 'a'},
    {"shard", required_argument, NULL, 's'},
    {"checkpoint", required_argument, NULL, 'c'},
    {"json", no_argument, NULL, 'j'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0}};

/* False: misuse. */
static bool read_options(int argc, char **argv, struct options *options, bool *help)
{
    int which;

    // NOLINTNEXTLINE(concurrency-mt-unsafe): before the first thread
    while ((which = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        switch (which) {
        case 't':
            options->topology = optarg;
            break;
        case 'u':
            options->user = optarg;
            break;
        case 'p':
            options->password_file = optarg;
            break;
        case 'd':
            options->db_name = optarg;
            break;
        case 'a':
            options->tls_ca = optarg;
            break;
        case 's':
            options->shard = optarg;
            break;
        case 'c':
            options->checkpoint = optarg;
            break;
        case 'j':
            options->is_json = true;
            break;
        case 'h':
            *help = true;
            break;
        default:
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    struct options options = {
        .user = "doushard_monitor", .db_name = "doushard", .tls_ca = ""};
    bool help = false;

    if (!read_options(argc, argv, &options, &help)) {
        (void)fputs(usage, stderr);
        return 2;
    }
    if (help) {
        return fputs(usage, stdout) < 0 ? 2 : 0;
    }
    if (optind + 1 != argc || strcmp(argv[optind], "audit") != 0) {
        (void)fputs(usage, stderr);
        return 2;
    }
    log_set_level(LOG_WARN);
    if (!dbconn_library_init()) {
        return fail("client library", "cannot be used");
    }
    return audit(&options);
}
