/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The program: read the command line, start the parts in order, wait for signals, stop
 * the parts in reverse. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "shard/base/clock.h"
#include "shard/base/fiber.h"
#include "shard/base/log.h"

#include "shard/cache.h"
#include "shard/delivery.h"
#include "shard/rcluster.h"
#include "shard/relay.h"
#include "shard/router.h"

#include "server/api/page.h"
#include "server/api/routes.h"
#include "server/api/words.h"
#include "server/auth/auth.h"
#include "server/auth/rate.h"
#include "server/base/app.h"
#include "server/base/metrics.h"
#include "server/base/version.h"
#include "server/base/workers.h"
#include "server/config/config.h"
#include "server/config/config_file.h"
#include "server/config/redis.h"
#include "server/config/secret.h"
#include "server/config/topology.h"
#include "server/http/http.h"
#include "server/media/janitor.h"
#include "server/media/media.h"
#include "server/media/storage.h"
#include "server/media/sweep.h"
#include "server/media/upload.h"
#include "server/notify.h"
#include "server/preflight.h"

/* How long the start waits for the shards; those that answer later are found while
 * serving. */
#define DISCOVER_MS 3000

/* Worker threads that are always there. */
#define WORKERS_MIN 8

/* An additional worker ends after this long without work. */
#define WORKERS_IDLE_MS 30000

/* Descriptors besides those of clients: shards, files, listeners, ffmpeg pipes. */
#define OTHER_FDS 1024

#define PASSWORD_BYTES 512

/* How long a shard is left alone after a failed connect, and its writes after an error
 * that says that it cannot write. */
#define DB_HOLD_DOWN_MS 500

/* A connection to a shard is closed after this long without use, long before the shard
 * would do it (wait_timeout, 8 h). */
#define DB_IDLE_MS 300000

/* Limit of one shard's outbox rows that wait to be removed; the relay removes those
 * beyond it. */
#define DELIVERY_QUEUE_MAX 16384

enum exit_status { EXIT_STOPPED = 0, EXIT_REFUSED = 1, EXIT_USAGE = 2 };

/* The process: its parts, and what only this file needs. */
struct process {
    struct app app;
    struct config *config; /* the newest snapshot, which owns the older ones */
    const struct config_args *args;
    const char *notify_socket; /* NULL: no service manager listens */
    bool has_pid_file;
};

static const char *variable(const char *name)
{
    /* Nothing in this process changes the environment. */
    return getenv(name); // NOLINT(concurrency-mt-unsafe)
}

/* ---- The process itself ---- */

/* Descriptors 0 to 2 are open, so that no log line ever lands in a socket. */
static void open_standard_fds(void)
{
    int fd;

    do {
        fd = open("/dev/null", O_RDWR);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0) {
        close(fd);
    }
}

/* Keys and passwords are in memory: leave no core file with them. */
static void forbid_core_dumps(void)
{
    struct rlimit none = {0};

    if (setrlimit(RLIMIT_CORE, &none) != 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) {
        log_write(LOG_WARN, "core_dumps", "error=\"%s\" detail=\"cannot forbid them\"",
                  strerrordesc_np(errno));
    }
}

/* Raise the limit of descriptors to what the connections need, as far as allowed: each a
 * socket, and the file that it downloads or uploads. */
static void raise_fd_limit(const struct config *config)
{
    rlim_t needed = 2 * (rlim_t)config->connections_max + OTHER_FDS;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return;
    }
    if (limit.rlim_cur < needed) {
        limit.rlim_cur = limit.rlim_max < needed ? limit.rlim_max : needed;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    if (limit.rlim_cur < needed) {
        log_write(LOG_WARN, "few_descriptors",
                  "limit=%llu needed=%llu detail=\"raise LimitNOFILE or ulimit -Hn, or "
                  "lower connections_max\"",
                  (unsigned long long)limit.rlim_cur, (unsigned long long)needed);
    }
}

/* The signals that the main thread waits for; blocked in all others, which inherit it. */
static void block_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
    (void)pthread_sigmask(SIG_BLOCK, set, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
}

/* Called before the first request is served, so that whoever has an answer finds the
 * file. */
static bool write_pid_file(struct process *process)
{
    const char *path = process->config->pid_file;
    FILE *out;

    if (path[0] == '\0') {
        return true;
    }
    out = fopen(path, "we");
    bool ok = out != NULL && fprintf(out, "%ld\n", (long)getpid()) > 0;
    process->has_pid_file = out != NULL;
    ok = (out == NULL || fclose(out) == 0) && ok;
    if (!ok) {
        log_write(LOG_ERROR, "pid_file", "file=\"%s\" error=\"%s\"", path,
                  strerrordesc_np(errno));
    }
    return ok;
}

static void remove_pid_file(const struct process *process)
{
    if (process->has_pid_file) {
        (void)unlink(process->config->pid_file);
    }
}

static void notify(const struct process *process, const char *state)
{
    if (!notify_send(process->notify_socket, state)) {
        log_write(LOG_WARN, "notify", "error=\"%s\"", strerrordesc_np(errno));
    }
}

/* ---- The parts ---- */

static bool start_metrics(struct app *app)
{
    const struct route_table *table = routes_table();
    struct metrics_route *routes = calloc(table->n, sizeof *routes);

    if (routes == NULL) {
        return false;
    }
    for (size_t i = 0; i < table->n; i++) {
        routes[i] = (struct metrics_route){.method = table->rows[i].method,
                                           .path = table->rows[i].path};
    }
    app->metrics = metrics_new(routes, table->n);
    free(routes);
    return app->metrics != NULL;
}

static bool start_cache(struct app *app, const struct config *config)
{
    struct errmsg err;

    if (!redis_start(config, &app->redis, &err)) {
        log_write(LOG_ERROR, "start", "error=\"%s\"", err.text);
        return false;
    }
    if (app->redis == NULL && config->cache_local_bytes == 0) {
        return true; /* there is nothing to cache in */
    }
    app->cache = cache_new(&(struct cache_options){
        .redis = app->redis, .local_bytes = config->cache_local_bytes});
    app->pages = pages_new();
    return app->cache != NULL && app->pages != NULL;
}

/* Start the router and ask all shards once. The server starts even if shards do not
 * answer: requests for their slots are answered "unavailable" until they do. */
static bool start_router(struct process *process)
{
    const struct config *config = process->config;
    struct topology topology;
    struct errmsg err;
    char password[PASSWORD_BYTES];

    if (!topology_read(&topology, config->topology_file, &err) ||
        !secret_read(config->db_password_file, password, sizeof password, &err)) {
        log_write(LOG_ERROR, "start", "error=\"%s\"", err.text);
        topology_release(&topology);
        return false;
    }
    struct router_options options = {
        .servers = topology.servers,
        .n_servers = topology.n_servers,
        .db_name = config->db_name,
        .user = config->db_user,
        .password = password,
        .tls_ca = config->db_tls_ca,
        .pool_size = (unsigned)config->db_pool_size,
        .waiters_max = (unsigned)config->db_waiters_max,
        .batch_max = (unsigned)config->db_batch_max,
        .connect_timeout_ms = config->db_connect_timeout_ms,
        .call_timeout_ms = config->db_call_timeout_ms,
        .hold_down_ms = DB_HOLD_DOWN_MS,
        .min_free_bytes = config->db_min_free_bytes,
        .idle_ms = DB_IDLE_MS,
        .cache = process->app.cache,
        .load_report_ms = config->load_report_ms,
        .has_beats = true,
    };
    process->app.router = router_new(&options);
    explicit_bzero(password, sizeof password);
    topology_release(&topology);
    if (process->app.router == NULL) {
        return false;
    }
    if (!router_discover(process->app.router, clock_mono_ms() + DISCOVER_MS)) {
        log_write(LOG_WARN, "slots_missing",
                  "detail=\"some slots have no known owner yet; see /readyz\"");
    }
    return true;
}

/* Start the parts that finish writes to two shards. */
static bool start_delivery(struct app *app)
{
    const struct relay_options options = relay_defaults();

    app->delivery = delivery_new(app->router, DELIVERY_QUEUE_MAX);
    app->relay = app->delivery == NULL ? NULL : relay_new(app->router, &options);
    return app->relay != NULL;
}

static bool start_auth(struct process *process)
{
    struct errmsg err;

    process->app.auth = auth_new(process->config, process->app.metrics, &err);
    if (process->app.auth == NULL) {
        log_write(LOG_ERROR, "start", "error=\"%s\"", err.text);
    }
    return process->app.auth != NULL;
}

static bool start_rate(struct app *app)
{
    app->rate = rate_new();
    return app->rate != NULL;
}

static bool start_media(struct app *app, const struct config *config)
{
    app->storage = storage_new(config->media_dir);
    app->uploads = uploads_new(config->upload_dir, config->media_dir);
    /* No limit of waiters: each has a place among uploads_max. */
    app->media = media_new((unsigned)config->media_concurrency, UINT_MAX);
    if (app->storage == NULL || app->uploads == NULL || app->media == NULL) {
        return false;
    }
    if (!media_works(app->media, config)) {
        log_write(LOG_ERROR, "media_broken",
                  "detail=\"uploads will be refused; everything else is served\"");
    }
    return true;
}

static struct workers *start_pool(unsigned n_max)
{
    const struct workers_options options = {
        .n_min = n_max < WORKERS_MIN ? n_max : WORKERS_MIN,
        .n_max = n_max,
        .queue_max = n_max,
        .idle_ms = WORKERS_IDLE_MS,
    };

    return workers_new(&options);
}

/* Two pools, so that logins go on when a hanging disk blocks all threads of the other.
 * Requests with a password are not more than may hash and wait for that: what comes
 * beyond that is refused before it costs a thread and a CALL. */
static bool start_workers(struct app *app, const struct config *config)
{
    const unsigned n_max = (unsigned)config->workers_max;
    const unsigned n_hashing = config_hashes(config) + (unsigned)config->scrypt_queue_max;

    app->workers = start_pool(n_hashing < n_max ? n_hashing : n_max);
    app->disk = start_pool(n_max);
    return app->workers != NULL && app->disk != NULL &&
           uploads_watch(app->uploads, app->disk);
}

static bool start_fibers(struct app *app, const struct config *config)
{
    struct fibers_options options = {
        .n_threads = config_threads(config->fiber_threads),
        .work_max = (size_t)config->requests_max,
    };

    app->fibers = fibers_new(&options);
    return app->fibers != NULL;
}

/* Start the background work. */
static bool start_janitor(struct app *app, const struct config *config)
{
    struct janitor_options options = janitor_options(config);
    struct janitor_shards shards = janitor_shards(app->router, app->delivery);
    struct sweep_options sweeps = sweep_options(config);
    struct sweep_shards asked = sweep_shards(app->router);

    app->janitor = janitor_new(app->storage, &shards, &options);
    app->sweep = sweep_new(app->storage, &asked, &sweeps);
    return app->janitor != NULL && app->sweep != NULL;
}

/* The list that CONFIG names. NULL: ERR says why there is none. */
static struct words_list *read_words(const struct config *config, struct errmsg *err)
{
    struct errmsg why;
    struct words_list *list = words_list_read(config->words_file, &why);

    if (list == NULL) {
        (void)config_fail(err, config->words_file, 0, "words_file: %.200s", why.text);
    }
    return list;
}

static bool start_words(struct app *app, const struct config *config)
{
    struct errmsg err;
    struct words_list *list = read_words(config, &err);

    if (list == NULL) {
        log_write(LOG_ERROR, "start", "error=\"%s\"", err.text);
        return false;
    }
    app->words = words_new(list);
    return app->words != NULL;
}

/* Listen first, so that a taken port is reported before anything else is touched; serve
 * last.
 */
static bool start_parts(struct process *process)
{
    struct app *app = &process->app;
    const struct config *config = process->config;

    app->http = http_new(app, routes_table());
    if (app->http == NULL) {
        return false;
    }
    app->port = http_port(app->http, LISTENER_PUBLIC);
    if (start_metrics(app) && start_auth(process) && start_rate(app) &&
        start_words(app, config) && start_media(app, config) &&
        start_cache(app, config) && start_router(process) && start_delivery(app) &&
        start_workers(app, config) && start_fibers(app, config) &&
        start_janitor(app, config) && write_pid_file(process) && http_start(app->http)) {
        return true;
    }
    log_write(LOG_ERROR, "start", "error=\"a part of the server could not be started\"");
    return false;
}

/* Stop in reverse order. No request may be running. The threads that ran requests come
 * first: one may not have returned yet from the library after giving its answer. */
static void stop_parts(struct process *process)
{
    struct app *app = &process->app;

    workers_stop(app->workers);
    workers_stop(app->disk);
    fibers_stop(app->fibers);
    http_free(&app->http);
    sweep_free(&app->sweep);
    janitor_free(&app->janitor);
    workers_free(&app->workers);
    uploads_unwatch(app->uploads);
    workers_free(&app->disk);
    words_free(&app->words);
    media_free(&app->media);
    uploads_free(&app->uploads);
    storage_free(&app->storage);
    auth_free(&app->auth);
    rate_free(&app->rate);
    relay_free(&app->relay);
    delivery_free(&app->delivery);
    router_free(&app->router);
    pages_free(&app->pages);
    cache_free(&app->cache);
    rcluster_free(&app->redis);
    fibers_free(&app->fibers); /* after everything that could wake one */
    metrics_free(&app->metrics);
    config_free(&process->config);
}

/* ---- Signals ---- */

/* What a reload prepares before it changes anything. */
struct news {
    struct config *config;
    struct words_list *words;
    struct topology topology;
};

static void news_free(struct news *news)
{
    words_list_unref(&news->words);
    topology_release(&news->topology);
    if (news->config != NULL) {
        news->config->older = NULL;
        config_free(&news->config);
    }
}

/* Read all files, and check that the shards of the new topology can be used. */
static bool read_news(const struct process *process, struct news *news,
                      struct errmsg *err)
{
    struct errmsg why;

    news->config = config_load(process->args, err);
    if (news->config == NULL || !preflight_check(news->config, NULL, err) ||
        !config_replace(news->config, process->config, err) ||
        !topology_read(&news->topology, news->config->topology_file, err)) {
        return false;
    }
    if (!router_check_servers(process->app.router, news->topology.servers,
                              news->topology.n_servers, &why)) {
        return config_fail(err, news->config->topology_file, 0, "%s", why.text);
    }
    news->words = read_words(news->config, err);
    return news->words != NULL;
}

/* Use the shards of the topology from now on, with the threads for each.
 */
static bool take_servers(struct app *app, const struct topology *topology,
                         struct errmsg *err)
{
    if (!router_change_servers(app->router, topology->servers, topology->n_servers,
                               err)) {
        return false;
    }
    if (!delivery_follow(app->delivery) || !relay_follow(app->relay)) {
        log_write(
            LOG_ERROR, "relay_missing",
            "detail=\"no memory or threads for a new shard: what its users write is "
            "delivered by other servers only; reload again\"");
    }
    return true;
}

/* SIGHUP: everything new is valid and comes into force, or nothing changes. */
static void reload(struct process *process)
{
    struct app *app = &process->app;
    struct errmsg err;
    struct news news = {.config = NULL};
    struct janitor_options options;
    struct sweep_options sweeps;

    /* After read_news() nothing but a lack of memory can fail. */
    if (!read_news(process, &news, &err) || !auth_reload(app->auth, news.config, &err) ||
        !take_servers(app, &news.topology, &err)) {
        news_free(&news);
        metrics_add(app->metrics, METRIC_CONFIG_RELOADS_FAILED, 1);
        log_write(LOG_ERROR, "config_refused", "error=\"%s\" detail=\"nothing changed\"",
                  err.text);
        return;
    }
    const struct config *next = news.config;
    process->config = news.config;
    app->config = next;
    words_replace(app->words, news.words);
    topology_release(&news.topology);
    log_set_level((enum log_level)next->log_level);
    options = janitor_options(next);
    janitor_configure(app->janitor, &options);
    sweeps = sweep_options(next);
    sweep_configure(app->sweep, &sweeps);
    metrics_add(app->metrics, METRIC_CONFIG_RELOADS, 1);
    log_write(LOG_INFO, "config_reloaded", "generation=%u", next->generation);
}

/* Serve until a signal says stop. */
static void wait_for_stop(struct process *process, const sigset_t *signals)
{
    for (;;) {
        int number = sigwaitinfo(signals, NULL);
        if (number == SIGHUP) {
            notify(process, "RELOADING=1");
            reload(process);
            notify(process, "READY=1");
        } else if (number == SIGTERM || number == SIGINT) {
            return;
        }
    }
}

/* Finish what is running. True when every request was answered. */
static bool drain(struct process *process, const sigset_t *signals)
{
    struct app *app = &process->app;
    int drain_ms = process->config->drain_timeout_ms;
    unsigned n_left;

    log_write(LOG_INFO, "draining", "timeout_ms=%d", drain_ms);
    notify(process, "STOPPING=1");
    atomic_store(&app->draining, true);
    http_quiesce(app->http);
    /* A second TERM or INT has its default action, which is to end at once. */
    (void)pthread_sigmask(SIG_UNBLOCK, signals, NULL);
    n_left = http_drain(app->http, clock_mono_ms() + drain_ms);
    (void)pthread_sigmask(SIG_BLOCK, signals, NULL);
    if (n_left > 0) {
        log_write(LOG_WARN, "drain_timeout", "unanswered=%u", n_left);
    }
    return n_left == 0;
}

static enum exit_status serve(struct process *process)
{
    const struct config *config = process->config;
    sigset_t signals;
    enum exit_status status = EXIT_REFUSED;

    log_set_level((enum log_level)config->log_level);
    process->app.config = config;
    process->app.start_wall_ms = clock_wall_ms();
    forbid_core_dumps();
    raise_fd_limit(config);
    block_signals(&signals);
    log_start();
    if (start_parts(process)) {
        log_write(LOG_INFO, "serving", "version=%s commit=%s port=%u admin_port=%u",
                  version_text(), version_commit(), process->app.port,
                  http_port(process->app.http, LISTENER_ADMIN));
        notify(process, "READY=1");
        wait_for_stop(process, &signals);
        status = EXIT_STOPPED;
    }
    if (status == EXIT_STOPPED && !drain(process, &signals)) {
        /* Handlers still use the parts, so end as in a crash. Unanswered writes are safe
         * to repeat. */
        log_stop();
        _exit(EXIT_STOPPED);
    }
    remove_pid_file(process);
    stop_parts(process);
    log_write(LOG_INFO, "stopped", "status=%d", (int)status);
    log_stop();
    return status;
}

/* ---- The command line ---- */

static enum exit_status refuse(const char *why, enum exit_status status)
{
    (void)fprintf(stderr, "doushard: %s\n", why);
    return status;
}

static enum exit_status run(const struct config_args *args)
{
    struct process process = {.args = args, .notify_socket = variable("NOTIFY_SOCKET")};
    struct config_report report = {
        .out = stderr, .prefix = "doushard: ", .file = args->file};
    struct errmsg err;
    enum exit_status status = EXIT_STOPPED;

    config_warn_variables(args);
    process.config = config_load_all(args, &report);
    if (process.config != NULL && args->mode != CONFIG_PRINT) {
        (void)!preflight_check(process.config, &report, &err); /* all mistakes are
                                                                * reported */
    }
    if (process.config == NULL || report.n_errors > 0) {
        status = EXIT_REFUSED;
    } else if (args->mode == CONFIG_PRINT) {
        config_print(args, process.config, stdout);
    } else if (args->mode == CONFIG_CHECK) {
        printf("%s: ok\n", args->file == NULL ? "defaults" : args->file);
    } else {
        return serve(&process);
    }
    config_free(&process.config);
    return status;
}

int main(int argc, char **argv)
{
    struct config_args args;
    struct errmsg err;

    open_standard_fds();
    if (!config_args(&args, argc, argv, environ, &err)) {
        return (int)refuse(err.text, EXIT_USAGE);
    }
    switch (args.mode) {
    case CONFIG_HELP:
        config_print_usage(stdout);
        return EXIT_STOPPED;
    case CONFIG_HELP_CONFIG:
        config_print_options(stdout);
        return EXIT_STOPPED;
    case CONFIG_VERSION:
        printf("doushard %s (%s)\n", version_text(), version_commit());
        return EXIT_STOPPED;
    case CONFIG_ROUTES:
        route_print(routes_table(), stdout);
        return EXIT_STOPPED;
    default:
        return (int)run(&args);
    }
}
