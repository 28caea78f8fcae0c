/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* shardctl mover: the process that makes the moves that were asked for. */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shard/base/log.h"

#include "shard/mover.h"

#include "server/config/config_number.h"
#include "server/config/topology.h"

#include "scripts/shardctl.h"
#include "scripts/shardctl_policy.h"
#include "scripts/shardctl_units.h"

static const char help[] =
    "mover: make the moves that were asked for, on all shards, until a signal ends it.\n"
    "Several may run, on any machines: one of them makes a move, and another takes over\n"
    "when that one is silent for 10 s (--lease). Nothing is lost when a mover ends: the\n"
    "next one goes on from the state in the shards.\n"
    "\n"
    "  --threads=N           moves at a time (2)\n"
    "  --per-shard=N         moves that one shard gives, and takes, at a time (1)\n"
    "  --lock=TIME           how long writers wait for a flip that cannot begin (50ms);\n"
    "                        four times as long after many tries, twelve times when a\n"
    "                        user gets a slot of their own; a flip of a move that did\n"
    "                        begin may hold them 100 ms more, after many tries 600 ms\n"
    "  --lease=TIME          another mover takes over a move for which this one has "
    "been\n"
    "                        silent so long (10s)\n"
    "  --commit=TIME         copy, compare and remove at a fifth of the speed while "
    "commits\n"
    "                        take longer (100ms; 0: never)\n"
    "  --statements=N        likewise while one of both shards runs more statements (64; "
    "0:\n"
    "                        never)\n"
    "  --lag-query=SQL       statement that answers how many ms the replicas of a shard "
    "are\n"
    "                        behind; no row is copied or removed, only what users\n"
    "                        write is carried over, while it is more than\n"
    "                        --lag=TIME (1s) on one of both shards, or while there is "
    "no\n"
    "                        answer\n"
    "  --config=FILE         when to promote users without being asked: promote_above,\n"
    "                        promote_per_hour and promote_slots, as config/mover.conf\n"
    "                        explains; without it: never\n"
    "\n"
    "SIGHUP makes it read the topology file and that of --config again; moves under way "
    "go\n"
    "on.\n"
    "\n"
    "Account doushard_mover. One line in the log per phase of a move; `shardctl status`\n"
    "and CALL move_status() show how far each is.\n"
    "\n"
    "    shardctl mover --topology=/etc/doushard/topology.conf \\\n"
    "        --password-file=/etc/doushard/mover_password\n"
    "\n"
    "Exit status: 0 ended by SIGTERM or SIGINT, its claims released; 2 misuse.\n";

/* STOP ends mover_run(), which begins again unless IS_ENDED. */
static atomic_bool stop;
static atomic_bool is_ended;

static void on_signal(int number)
{
    if (number != SIGHUP) {
        atomic_store(&is_ended, true);
    }
    atomic_store(&stop, true);
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};

    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGHUP, &action, NULL);
    (void)signal(SIGPIPE, SIG_IGN); // NOLINT(cert-err33-c)
}

/* TEXT as a number from LEAST to MOST, or DEFAULT without it. False: the reason is
 * printed on standard error. */
static bool read_number(const char *name, const char *text, unsigned least, unsigned most,
                        unsigned *number)
{
    char *end;
    char why[96];

    if (text == NULL) {
        return true;
    }
    unsigned long value = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || value < least || value > most) {
        (void)snprintf(why, sizeof why, "needs a number from %u to %u", least, most);
        (void)shardctl_fail(name, why);
        return false;
    }
    *number = (unsigned)value;
    return true;
}

/* The same for a time, in ms. */
static bool read_time(const char *name, const char *text, int least_ms, int most_ms,
                      int *ms)
{
    int64_t value;
    char why[96];

    if (text == NULL) {
        return true;
    }
    if (!units_read_duration(text, most_ms, &value) || value < least_ms) {
        char least[CONFIG_NUMBER_BYTES];
        char most[CONFIG_NUMBER_BYTES];
        (void)snprintf(why, sizeof why, "needs a time from %s to %s, such as 50ms or 2s",
                       config_number_text(KIND_TIME_MS, least_ms, least),
                       config_number_text(KIND_TIME_MS, most_ms, most));
        (void)shardctl_fail(name, why);
        return false;
    }
    *ms = (int)value;
    return true;
}

static bool read_limits(const struct shardctl_options *options,
                        struct mover_options *mover)
{
    struct move_limits *limits = &mover->limits;

    limits->commit_ms = 100;
    limits->statements_max = 64;
    limits->lag_ms = 1000;
    limits->lag_query = options->lag_query;
    if (!read_number("--threads", options->threads, 1, 32, &mover->threads) ||
        !read_number("--per-shard", options->per_shard, 1, 32, &mover->moves_max) ||
        !read_time("--lock", options->lock, 1, 1000, &limits->lock_ms) ||
        !read_time("--lease", options->lease, 1000, 3600000, &limits->lease_ms) ||
        !read_time("--commit", options->commit, 0, 60000, &limits->commit_ms) ||
        !read_number("--statements", options->statements, 0, 100000,
                     &limits->statements_max) ||
        !read_time("--lag", options->lag, 1, 3600000, &limits->lag_ms)) {
        return false;
    }
    limits->imports_max = mover->moves_max;
    return true;
}

/* The file of --config, if there is one. */
static bool read_policy(const struct shardctl *ctl, struct mover_policy *policy,
                        struct errmsg *err)
{
    const char *file = ctl->options.config;

    *policy = mover_defaults().policy;
    return file == NULL || policy_read(policy, file, err);
}

static struct mover_shard *list_shards(const struct shardctl *ctl,
                                       const struct topology *topology)
{
    const struct shardctl_options *options = &ctl->options;
    struct mover_shard *shards = calloc(topology->n_servers, sizeof *shards);

    for (size_t i = 0; shards != NULL && i < topology->n_servers; i++) {
        const struct router_server *server = &topology->servers[i];
        shards[i] = (struct mover_shard){.name = server->name,
                                         .durability_exempt = server->durability_exempt,
                                         .target = {.host = server->host,
                                                    .port = server->port,
                                                    .socket = server->socket,
                                                    .user = options->user,
                                                    .password = ctl->password,
                                                    .db_name = options->db_name,
                                                    .tls_ca = options->tls_ca}};
    }
    return shards;
}

/* Work with the shards of TOPOLOGY until a signal comes. False: the reason is printed. */
static bool make_moves(const struct shardctl *ctl, const struct topology *topology,
                       struct mover_options *options)
{
    struct mover_shard *shards = list_shards(ctl, topology);

    if (shards == NULL) {
        (void)shardctl_fail("mover", "out of memory");
        return false;
    }
    options->shards = shards;
    options->n_shards = topology->n_servers;
    log_write(LOG_INFO, "mover_started",
              "holder=%s shards=%zu threads=%u promote_above=%u%%", options->holder,
              options->n_shards, options->threads, options->policy.percent);
    bool is_good = mover_run(options, &stop);
    log_write(LOG_INFO, "mover_stopped", "holder=%s", options->holder);
    free(shards);
    if (!is_good) {
        (void)shardctl_fail("mover", "no memory, or no threads");
    }
    return is_good;
}

/* Read the files again into TOPOLOGY and OPTIONS; a file that cannot be read changes
 * nothing.
 */
static void reload(const struct shardctl *ctl, struct topology *topology,
                   struct mover_options *options)
{
    struct topology new;
    struct errmsg err;

    if (topology_read(&new, ctl->topology_file, &err)) {
        topology_release(topology);
        *topology = new;
    } else {
        log_write(LOG_ERROR, "topology_refused", "why=\"%s\"", err.text);
    }
    struct mover_policy policy;
    if (read_policy(ctl, &policy, &err)) {
        options->policy = policy;
    } else {
        log_write(LOG_ERROR, "config_refused", "error=\"%s\"", err.text);
    }
}

static int run(const struct shardctl *ctl)
{
    struct mover_options options = mover_defaults();
    struct topology reread = {.servers = NULL}; /* the last valid one */
    char host[40] = "";
    char holder[64];
    struct errmsg err;

    if (!read_limits(&ctl->options, &options)) {
        return 2;
    }
    if (!read_policy(ctl, &options.policy, &err)) {
        return shardctl_fail("--config", err.text);
    }
    (void)gethostname(host, sizeof host - 1);
    (void)snprintf(holder, sizeof holder, "%s/%ld", host, (long)getpid());
    options.holder = holder;
    catch_signals();
    log_set_level(LOG_INFO);
    log_start(); /* moves must not wait for who reads the log */
    bool is_good = make_moves(ctl, ctl->topology, &options);
    /* Reset first: a signal that comes after that ends the next mover_run(). */
    for (atomic_store(&stop, false); is_good && !is_ended; atomic_store(&stop, false)) {
        reload(ctl, &reread, &options);
        is_good =
            make_moves(ctl, reread.servers == NULL ? ctl->topology : &reread, &options);
    }
    log_stop();
    topology_release(&reread);
    return is_good ? 0 : 2;
}

const struct shardctl_command shardctl_mover = {
    .name = "mover",
    .operands = "",
    .options = "threads per-shard lock lease commit statements lag-query lag config",
    .help = help,
    .user = "doushard_mover",
    .must_be_durable = true,
    .run = run,
};
