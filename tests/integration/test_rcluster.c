/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The client of a Redis Cluster, driven by lines on standard input; rcluster.test.js
 * writes them, and plays the nodes. Each line is answered by one of JSON.
 *
 *   run MS GET a | SET b 1   a batch: how each of its commands ended within MS
 *   script MS KEY ARG ..     a script that answers {KEY, ARG ..}
 *   load MS N                N threads and N fibers write and read for MS
 *   state                    what the client has counted
 *
 * usage: test_rcluster HOST:PORT ..; TEST_REDIS_USER, _PASSWORD, _CA and _TIMEOUT_MS */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/base/check.h"
#include "shard/base/clock.h"
#include "shard/base/errmsg.h"
#include "shard/base/fiber.h"
#include "shard/base/json_out.h"
#include "shard/base/log.h"

#include "shard/rcluster.h"

#define WORDS_MAX  256
#define BATCH_MAX  32
#define LINE_BYTES 65536

/* The largest number of threads under load; as many fibers. */
#define WORKERS_MAX 64

/* Keys of one worker, in many slots. */
#define KEYS 16

/* How long a batch of a worker may take. */
#define LOAD_TIMEOUT_MS 60000

static const char *const status_names[] = {"open", "ok", "refused", "unavailable",
                                           "lost"};

static struct rscript echo = {.text = "return {KEYS[1], unpack(ARGV)}"};

static void write_reply(struct json_out *out, const char *name,
                        const struct rreply *reply)
{
    if (reply == NULL || reply->kind == RREPLY_NIL) {
        json_out_bool(out, name, false);
    } else if (reply->kind == RREPLY_INTEGER) {
        json_out_integer(out, name, reply->integer);
    } else if (reply->kind == RREPLY_ARRAY) {
        json_out_array(out, name);
        for (size_t i = 0; i < reply->len; i++) {
            write_reply(out, NULL, reply->elements[i]);
        }
        json_out_array_end(out);
    } else {
        json_out_text(out, name, reply->text);
    }
}

static void print(struct json_out *out)
{
    CHECK(!out->buf.failed);
    puts(out->buf.data);
    (void)fflush(stdout);
    buf_clear(&out->buf);
}

static void run_and_print(struct rcluster *cluster, struct rbatch *batch, size_t n,
                          int64_t timeout_ms)
{
    struct json_out out;

    rcluster_run(cluster, batch, clock_mono_ms() + timeout_ms);
    json_out_init(&out, (size_t)1 << 20);
    json_out_array(&out, NULL);
    for (size_t i = 0; i < n; i++) {
        json_out_object(&out, NULL);
        json_out_text(&out, "status", status_names[rbatch_status(batch, i)]);
        write_reply(&out, "reply", rbatch_reply(batch, i));
        json_out_object_end(&out);
    }
    json_out_array_end(&out);
    print(&out);
}

static size_t split(char *line, const char **words)
{
    size_t n = 0;
    char *rest;

    for (char *word = strtok_r(line, " \n", &rest); word != NULL;
         word = strtok_r(NULL, " \n", &rest)) {
        CHECK(n < WORDS_MAX);
        words[n++] = word;
    }
    return n;
}

static void lengths(const char **words, size_t n, size_t *lens)
{
    for (size_t i = 0; i < n; i++) {
        lens[i] = strlen(words[i]);
    }
}

/* A command whose key is its second word. */
static void add_command(struct rbatch *batch, const char **words, size_t n)
{
    size_t lens[WORDS_MAX];

    lengths(words, n, lens);
    CHECK(rbatch_add(batch, words[1], (int)n, words, lens));
}

/* Splits the text at the bars; returns the number of commands. */
static size_t add_commands(struct rbatch *batch, const char **words, size_t n)
{
    size_t n_commands = 0;
    size_t begin = 0;

    for (size_t i = 0; i <= n; i++) {
        if (i == n || strcmp(words[i], "|") == 0) {
            add_command(batch, words + begin, i - begin);
            n_commands++;
            begin = i + 1;
        }
    }
    return n_commands;
}

static void do_run(struct rcluster *cluster, const char **words, size_t n)
{
    struct rbatch *batch = rbatch_new(BATCH_MAX);

    CHECK(batch != NULL && n > 2);
    size_t n_commands = add_commands(batch, words + 1, n - 1);
    run_and_print(cluster, batch, n_commands, strtol(words[0], NULL, 10));
    rbatch_free(&batch);
}

static void do_script(struct rcluster *cluster, const char **words, size_t n)
{
    struct rbatch *batch = rbatch_new(1);
    size_t lens[WORDS_MAX];

    CHECK(batch != NULL && n >= 2);
    lengths(words, n, lens);
    CHECK(rbatch_add_script(batch, &echo, words[1], (int)n - 2, words + 2, lens + 2));
    run_and_print(cluster, batch, 1, strtol(words[0], NULL, 10));
    rbatch_free(&batch);
}

static void do_state(struct rcluster *cluster)
{
    struct rcluster_state state;
    struct json_out out;

    rcluster_state(cluster, &state);
    json_out_init(&out, 4096);
    json_out_object(&out, NULL);
    json_out_integer(&out, "nodes", state.n_nodes);
    json_out_integer(&out, "up", state.n_up);
    json_out_integer(&out, "slots", state.slots_served);
    json_out_integer(&out, "commands", (int64_t)state.commands_total);
    json_out_integer(&out, "moved", (int64_t)state.moved_total);
    json_out_integer(&out, "asked", (int64_t)state.asked_total);
    json_out_integer(&out, "tryagain", (int64_t)state.tryagain_total);
    json_out_integer(&out, "unavailable", (int64_t)state.unavailable_total);
    json_out_integer(&out, "lost", (int64_t)state.lost_total);
    json_out_integer(&out, "refreshes", (int64_t)state.refreshes_total);
    json_out_integer(&out, "refreshes_failed", (int64_t)state.refreshes_failed_total);
    json_out_object_end(&out);
    print(&out);
}

/* ---- Load: what was written must be read ---- */

/* The only writer of its keys. A value is a number that only grows. */
struct worker {
    struct work work;
    struct rcluster *cluster;
    unsigned id;
    int64_t until_ms;
    uint64_t acked[KEYS];   /* the last value that was acknowledged */
    uint64_t written[KEYS]; /* the last one that was sent */
    uint64_t n[5];          /* by status */
    uint64_t wrong;         /* reads of impossible values */
};

static void key_of(const struct worker *worker, size_t i, char key[40])
{
    (void)snprintf(key, 40, "{%u:%zu}:load", worker->id, i);
}

static void add_all(struct worker *worker, struct rbatch *batch, bool is_write)
{
    for (size_t i = 0; i < KEYS; i++) {
        char key[40];
        char value[24];
        const char *args[] = {is_write ? "SET" : "GET", key, value};
        key_of(worker, i, key);
        worker->written[i] += is_write;
        (void)snprintf(value, sizeof value, "%llu",
                       (unsigned long long)worker->written[i]);
        CHECK(rbatch_add(batch, key, is_write ? 3 : 2, args,
                         (const size_t[]){3, strlen(key), strlen(value)}));
    }
}

/* Nothing acknowledged is lost, and nothing is read that was never sent. */
static void judge(struct worker *worker, const struct rbatch *batch, bool is_write)
{
    for (size_t i = 0; i < KEYS; i++) {
        const struct rreply *reply = rbatch_reply(batch, i);
        enum rstatus status = rbatch_status(batch, i);
        worker->n[status]++;
        if (status != RSTATUS_OK) {
            continue;
        }
        if (is_write) {
            worker->acked[i] = worker->written[i];
            worker->wrong += !rreply_says(reply, "OK");
            continue;
        }
        uint64_t value = reply->kind == RREPLY_TEXT ? strtoull(reply->text, NULL, 10) : 0;
        worker->wrong += value < worker->acked[i] || value > worker->written[i];
    }
}

static void load(struct worker *worker)
{
    for (bool is_write = true; clock_mono_ms() < worker->until_ms; is_write = !is_write) {
        struct rbatch *batch = rbatch_new(KEYS);
        CHECK(batch != NULL);
        add_all(worker, batch, is_write);
        rcluster_run(worker->cluster, batch, clock_mono_ms() + LOAD_TIMEOUT_MS);
        judge(worker, batch, is_write);
        rbatch_free(&batch);
    }
}

static void load_on_fiber(struct work *work)
{
    load((struct worker *)(void *)work);
}

static void *load_on_thread(void *worker)
{
    load(worker);
    return NULL;
}

static void print_load(const struct worker *workers, size_t n)
{
    struct json_out out;
    uint64_t wrong = 0;
    uint64_t by_status[5] = {0};

    for (size_t i = 0; i < n; i++) {
        wrong += workers[i].wrong;
        for (size_t s = 0; s < ARRAY_LEN(by_status); s++) {
            by_status[s] += workers[i].n[s];
        }
    }
    json_out_init(&out, 4096);
    json_out_object(&out, NULL);
    json_out_integer(&out, "wrong", (int64_t)wrong);
    for (size_t s = 0; s < ARRAY_LEN(by_status); s++) {
        json_out_integer(&out, status_names[s], (int64_t)by_status[s]);
    }
    json_out_object_end(&out);
    print(&out);
}

/* The first half of the workers are fibers, the others threads. */
static void load_with(struct fibers *fibers, struct worker *workers, size_t n)
{
    pthread_t threads[WORKERS_MAX];

    for (size_t i = 0; i < n; i++) {
        CHECK(fibers_submit(fibers, &workers[i].work));
        CHECK(pthread_create(&threads[i], NULL, load_on_thread, &workers[n + i]) == 0);
    }
    for (size_t i = 0; i < n; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    fibers_stop(fibers);
}

static void do_load(struct rcluster *cluster, int64_t ms, size_t n)
{
    static struct worker workers[2 * WORKERS_MAX];
    const struct fibers_options options = {.n_threads = 2, .work_max = n};
    struct fibers *fibers = fibers_new(&options);

    CHECK(fibers != NULL && n <= WORKERS_MAX);
    for (size_t i = 0; i < 2 * n; i++) {
        workers[i] = (struct worker){.work.run = load_on_fiber,
                                     .cluster = cluster,
                                     .id = (unsigned)i,
                                     .until_ms = clock_mono_ms() + ms};
    }
    load_with(fibers, workers, n);
    print_load(workers, 2 * n);
    fibers_free(&fibers);
}

/* ---- The lines ---- */

static const char *setting(const char *name, const char *preset)
{
    const char *value = getenv(name); // NOLINT(concurrency-mt-unsafe): no thread yet

    return value != NULL ? value : preset;
}

static struct rcluster *make_cluster(int argc, char **argv)
{
    static struct rcluster_node nodes[BATCH_MAX];
    struct rcluster_options options = {
        .nodes = nodes,
        .user = setting("TEST_REDIS_USER", ""),
        .password = setting("TEST_REDIS_PASSWORD", ""),
        .tls_ca = setting("TEST_REDIS_CA", ""),
        .timeout_ms = (int)strtol(setting("TEST_REDIS_TIMEOUT_MS", "500"), NULL, 10)};
    struct errmsg err;

    for (int i = 1; i < argc && i <= BATCH_MAX; i++) {
        char *colon = strrchr(argv[i], ':');
        CHECK(colon != NULL);
        *colon = '\0';
        nodes[options.n_nodes++] = (struct rcluster_node){
            .host = argv[i], .port = (unsigned)strtoul(colon + 1, NULL, 10)};
    }
    struct rcluster *cluster = rcluster_new(&options, &err);
    if (cluster == NULL) {
        (void)fprintf(stderr, "%s\n", err.text);
    }
    return cluster;
}

static void obey(struct rcluster *cluster, char *line)
{
    const char *words[WORDS_MAX];
    size_t n = split(line, words);

    CHECK(n > 0);
    if (strcmp(words[0], "run") == 0) {
        do_run(cluster, words + 1, n - 1);
    } else if (strcmp(words[0], "script") == 0) {
        do_script(cluster, words + 1, n - 1);
    } else if (strcmp(words[0], "load") == 0 && n == 3) {
        do_load(cluster, strtol(words[1], NULL, 10), strtoul(words[2], NULL, 10));
    } else {
        do_state(cluster);
    }
}

int main(int argc, char **argv)
{
    static char line[LINE_BYTES];

    (void)signal(SIGPIPE, SIG_IGN);
    rscript_init(&echo);
    struct rcluster *cluster = make_cluster(argc, argv);
    if (cluster == NULL) {
        return 1;
    }
    while (fgets(line, sizeof line, stdin) != NULL) {
        obey(cluster, line);
    }
    rcluster_free(&cluster);
    return 0;
}
