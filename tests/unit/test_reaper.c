/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Connections are looked at and read without holding up others; there is a limit to the
 * number of those that linger, and none is left open. */
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "server/base/app.h"
#include "server/config/config.h"
#include "server/http/reaper.h"

#include "tests/unit/cmocka_all.h"

#define PATIENCE_S 10

/* The reaper's recv(2) and getsockopt(2): one that is held reports that it was called,
 * and waits for the test. */
static struct {
    atomic_bool recv_held;
    atomic_bool getsockopt_held;
    sem_t called;
    sem_t go_on;
    atomic_bool gave_up; /* the test did not let it go on in time: others were blocked */
} kernel;

static struct {
    struct config config;
    struct app app;
    struct reaper *reaper;
} world;

static bool wait_for(sem_t *sem)
{
    struct timespec until;

    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &until), 0);
    until.tv_sec += PATIENCE_S;
    return sem_clockwait(sem, CLOCK_MONOTONIC, &until) == 0;
}

static void hold(atomic_bool *held)
{
    if (atomic_exchange(held, false)) {
        (void)sem_post(&kernel.called);
        if (!wait_for(&kernel.go_on)) {
            atomic_store(&kernel.gave_up, true);
        }
    }
}

ssize_t __real_recv(int fd, void *data, size_t size, int flags);
ssize_t __wrap_recv(int fd, void *data, size_t size, int flags);
int __real_getsockopt(int fd, int level, int name, void *value, socklen_t *len);
int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *len);

ssize_t __wrap_recv(int fd, void *data, size_t size, int flags)
{
    hold(&kernel.recv_held);
    return __real_recv(fd, data, size, flags);
}

int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
    hold(&kernel.getsockopt_held);
    return __real_getsockopt(fd, level, name, value, len);
}

static int setup(void **state)
{
    (void)state;
    memset(&world, 0, sizeof world);
    world.config.header_timeout_ms = 100000;
    world.config.idle_timeout_ms = 100000;
    world.config.stall_timeout_ms = 100000;
    world.config.body_timeout_ms = 100000;
    world.app.config = &world.config;
    atomic_store(&kernel.recv_held, false);
    atomic_store(&kernel.getsockopt_held, false);
    atomic_store(&kernel.gave_up, false);
    assert_int_equal(sem_init(&kernel.called, 0, 0), 0);
    assert_int_equal(sem_init(&kernel.go_on, 0, 0), 0);
    world.reaper = reaper_new(&world.app);
    return world.reaper == NULL;
}

static int teardown(void **state)
{
    (void)state;
    reaper_free(&world.reaper);
    (void)sem_destroy(&kernel.called);
    (void)sem_destroy(&kernel.go_on);
    return 0;
}

static unsigned n_open_files(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned n = 0;

    assert_non_null(dir);
    /* Only this thread reads DIR. NOLINTNEXTLINE(concurrency-mt-unsafe) */
    while (readdir(dir) != NULL) {
        n++;
    }
    (void)closedir(dir);
    return n;
}

/* A connection: [0] the server's end, [1] the client's. */
static void connect_pair(int ends[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
}

static void linger_and_close(int fd)
{
    (void)reaper_linger(world.reaper, fd);
    (void)close(fd);
}

/* A call for another connection is held: this one begins, ends and lingers meanwhile. */
static void comes_and_goes(int fd)
{
    struct reaper_conn conn;

    reaper_add(world.reaper, &conn, fd);
    reaper_remove(world.reaper, &conn);
    linger_and_close(fd);
    reaper_drain(world.reaper);
    assert_false(atomic_load(&kernel.gave_up));
    assert_int_equal(sem_post(&kernel.go_on), 0);
}

/* While one connection is being read, others go on. */
static void test_others_go_on(void **state)
{
    int slow[2];
    int quick[2];

    (void)state;
    connect_pair(slow);
    connect_pair(quick);
    atomic_store(&kernel.recv_held, true);
    linger_and_close(slow[0]);
    assert_true(wait_for(&kernel.called));
    comes_and_goes(quick[0]);
    (void)close(slow[1]);
    (void)close(quick[1]);
}

/* While the kernel is asked about one connection, others go on. */
static void test_others_go_on_beside_a_look(void **state)
{
    struct reaper_conn slow_conn;
    int slow[2];
    int quick[2];

    (void)state;
    connect_pair(slow);
    connect_pair(quick);
    reaper_add(world.reaper, &slow_conn, slow[0]);
    atomic_store(&kernel.getsockopt_held, true);
    reaper_drain(world.reaper); /* it looks now */
    assert_true(wait_for(&kernel.called));
    comes_and_goes(quick[0]);
    reaper_remove(world.reaper, &slow_conn);
    (void)close(slow[0]);
    (void)close(slow[1]);
    (void)close(quick[1]);
}

/* The client is told that no more data will come, and what it still sends is read
 * until it closes its side. */
static void test_input_is_read_until_close(void **state)
{
    static char data[100000];
    struct pollfd poll_fd = {.events = POLLIN};
    size_t left = 3000000;
    int ends[2];
    char byte;

    (void)state;
    connect_pair(ends);
    linger_and_close(ends[0]);
    poll_fd.fd = ends[1];
    assert_int_equal(poll(&poll_fd, 1, PATIENCE_S * 1000), 1);
    assert_int_equal(read(ends[1], &byte, 1), 0);
    while (left > 0) {
        ssize_t n =
            send(ends[1], data, left < sizeof data ? left : sizeof data, MSG_NOSIGNAL);
        assert_true(n > 0);
        left -= (size_t)n;
    }
    (void)close(ends[1]);
}

/* One that has closed makes room for another at once; those above the limit are not
 * kept. */
static void test_number_is_limited(void **state)
{
    unsigned n_before = n_open_files();
    int clients[600];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(clients); i++) {
        int ends[2];
        connect_pair(ends);
        linger_and_close(ends[0]);
        clients[i] = ends[1];
    }
    assert_in_range(n_open_files(), n_before + 600 + 1, n_before + 600 + 512);
    for (size_t i = 0; i < ARRAY_LEN(clients); i++) {
        (void)close(clients[i]);
    }
    for (unsigned i = 0; i < 1000 * PATIENCE_S && n_open_files() > n_before; i++) {
        (void)poll(NULL, 0, 1);
    }
    assert_int_equal(n_open_files(), n_before);
}

/* Those that still linger at the end are closed, whether they were read or not. */
static void test_connections_are_closed_at_the_end(void **state)
{
    unsigned n_before = n_open_files();
    int first[2];
    int second[2];

    (void)state;
    connect_pair(first);
    connect_pair(second);
    atomic_store(&kernel.recv_held, true);
    linger_and_close(first[0]);
    assert_true(wait_for(&kernel.called));
    linger_and_close(second[0]);
    assert_int_equal(sem_post(&kernel.go_on), 0);
    reaper_free(&world.reaper);
    (void)close(first[1]);
    (void)close(second[1]);
    assert_int_equal(n_open_files(), n_before);
    world.reaper = reaper_new(&world.app);
    assert_non_null(world.reaper);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(test_others_go_on),
        WITH(test_others_go_on_beside_a_look),
        WITH(test_input_is_read_until_close),
        WITH(test_number_is_limited),
        WITH(test_connections_are_closed_at_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
