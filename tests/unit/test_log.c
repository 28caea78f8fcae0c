/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Log lines through a thread: whole, in order, none lost without being counted, and
 * all written when the process dies. */
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shard/base/log.h"
#include "shard/base/log_ring.h"

#include "tests/unit/cmocka_all.h"

#define N_WRITERS   4
#define N_LINES     5000
#define RING_BYTES  ((size_t)64 << 10)
#define PATIENCE_MS 60000

static size_t lost_line(uint64_t lost, char *line)
{
    return (size_t)snprintf(line, LOG_RING_LINE_MAX, "lost %" PRIu64 "\n", lost);
}

/* Logs "text\n"; while the queue is full, tries again if AGAIN. */
static void put(struct log_ring *ring, const char *text, bool urgent)
{
    char line[LOG_RING_LINE_MAX];
    int len = snprintf(line, sizeof line, "%s\n", text);

    assert_true(log_ring_put(ring, line, (size_t)len, urgent));
}

struct writer {
    struct log_ring *ring;
    unsigned number;
    pthread_t thread;
};

static void *writer_main(void *arg)
{
    struct writer *writer = arg;
    char text[200];

    for (unsigned i = 0; i < N_LINES; i++) {
        (void)snprintf(
            text, sizeof text, "%u %u %.*s.", writer->number, i, (int)(i * 7 % 90),
            "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
            "xxxxxxxxxxxxxxxxxxxx");
        put(writer->ring, text, i % 1000 == 0);
    }
    return NULL;
}

/* Reads the lines of all writers to the end of IN. Each is whole, they are in order,
 * and together with the lost ones they are all. */
static void check_lines(FILE *in)
{
    unsigned next[N_WRITERS] = {0};
    uint64_t n = 0;
    uint64_t lost = 0;
    char line[256];

    while (fgets(line, sizeof line, in) != NULL) {
        unsigned writer;
        unsigned number;
        uint64_t more;
        int end = 0;

        if (sscanf(line, "lost %" SCNu64, &more) == 1) {
            lost += more;
            continue;
        }
        assert_int_equal(sscanf(line, "%u %u %*[x]%n", &writer, &number, &end), 2);
        assert_true(writer < N_WRITERS && number >= next[writer]);
        assert_non_null(strstr(line, ".\n"));
        next[writer] = number + 1;
        n++;
    }
    assert_int_equal(n + lost, N_WRITERS * N_LINES);
}

static void test_many_writers(void **state)
{
    struct writer writers[N_WRITERS];
    FILE *file = tmpfile();
    struct log_ring *ring;

    (void)state;
    assert_non_null(file);
    ring = log_ring_new(fileno(file), RING_BYTES, lost_line);
    assert_non_null(ring);
    for (unsigned i = 0; i < N_WRITERS; i++) {
        writers[i] = (struct writer){.ring = ring, .number = i};
        assert_int_equal(
            pthread_create(&writers[i].thread, NULL, writer_main, &writers[i]), 0);
    }
    for (unsigned i = 0; i < N_WRITERS; i++) {
        pthread_join(writers[i].thread, NULL);
    }
    assert_true(log_ring_close(ring, PATIENCE_MS));
    assert_false(log_ring_put(ring, "late\n", 5, false));
    log_ring_free(&ring);
    rewind(file);
    check_lines(file);
    (void)fclose(file);
}

/* Nobody reads the pipe: writers go on, and lost lines are counted and reported. */
static void test_full(void **state)
{
    const size_t n_lines = 100000;
    size_t n = 0;
    size_t n_urgent = 0;
    uint64_t told = 0;
    uint64_t more;
    char line[256];
    int fds[2];
    FILE *in;

    (void)state;
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    struct log_ring *ring = log_ring_new(fds[1], RING_BYTES, lost_line);
    assert_non_null(ring);
    for (size_t i = 0; i < n_lines; i++) {
        put(ring, "an access line", false);
    }
    assert_true(log_ring_lost(ring) > 0);
    assert_false(log_ring_flush(ring, 20));
    put(ring, "an error", true); /* an eighth is kept for it */
    uint64_t lost = log_ring_lost(ring);
    assert_false(log_ring_close(ring, 20));

    in = fdopen(fds[0], "r");
    assert_non_null(in);
    while (n + n_urgent + told < n_lines + 1 && fgets(line, sizeof line, in) != NULL) {
        if (sscanf(line, "lost %" SCNu64, &more) == 1) {
            told += more;
        } else {
            n_urgent += strcmp(line, "an error\n") == 0;
            n += strcmp(line, "an access line\n") == 0;
        }
    }
    assert_int_equal(told, lost);
    assert_int_equal(n_urgent, 1);
    assert_int_equal(n, n_lines - lost);
    while (!log_ring_close(ring, PATIENCE_MS)) {
    }
    log_ring_free(&ring);
    (void)fclose(in);
    close(fds[1]);
}

/* ---- How a process ends ---- */

#define N_LAST 300

static void end_by_stop(void)
{
    log_stop();
    _exit(0);
}

static void end_by_check(void)
{
    CHECK(1 + 1 == 3);
}

static void end_by_abort(void)
{
    abort();
}

static void end_by_signal(void)
{
    (void)raise(SIGFPE);
}

/* A child writes lines and dies: all of them must be there, and LAST after them. */
static void check_end(void (*end)(void), const char *last)
{
    char line[256];
    int fds[2];
    int n = 0;
    bool has_last = last == NULL;
    FILE *in;

    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)dup2(fds[1], STDERR_FILENO);
        (void)signal(SIGFPE, SIG_DFL); /* undo the handlers of cmocka and sanitizers */
        log_set_level(LOG_INFO);
        log_start();
        for (int i = 0; i < N_LAST; i++) {
            log_write(LOG_INFO, "numbered", "n=%d", i);
        }
        end();
        _exit(1);
    }
    close(fds[1]);
    in = fdopen(fds[0], "r");
    assert_non_null(in);
    while (fgets(line, sizeof line, in) != NULL) {
        int number;

        has_last = has_last || strstr(line, last) != NULL;
        if (sscanf(line, "%*s info numbered n=%d", &number) == 1) {
            assert_int_equal(number, n);
            n++;
        }
    }
    assert_int_equal(n, N_LAST);
    assert_true(has_last);
    assert_int_equal(waitpid(child, NULL, 0), child);
    (void)fclose(in);
}

static void test_ends(void **state)
{
    (void)state;
    check_end(end_by_stop, NULL);
    check_end(end_by_check, "condition=\"1 + 1 == 3\"");
    check_end(end_by_abort, NULL);
    check_end(end_by_signal, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* first, because it forks: no threads may exist yet */
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_many_writers),
        cmocka_unit_test(test_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
