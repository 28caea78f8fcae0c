/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Messages to the service manager: paths, abstract names, no listener. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "server/notify.h"

#include "tests/unit/cmocka_all.h"

/* A socket like the service manager's at NAME; '@' means an abstract name. */
static int listen_at(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(name);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    memcpy(address.sun_path, name, len);
    if (name[0] == '@') {
        address.sun_path[0] = '\0';
    }
    assert_int_equal(bind(fd, (const struct sockaddr *)(const void *)&address,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)),
                     0);
    return fd;
}

static void assert_receives(int fd, const char *expected)
{
    char data[64];
    ssize_t n = recv(fd, data, sizeof data, MSG_DONTWAIT);

    assert_int_equal(n, (ssize_t)strlen(expected));
    assert_memory_equal(data, expected, (size_t)n);
}

static void test_path(void **state)
{
    char path[64];

    (void)state;
    snprintf(path, sizeof path, "/tmp/test_notify.%ld", (long)getpid());
    int fd = listen_at(path);
    assert_true(notify_send(path, "READY=1"));
    assert_receives(fd, "READY=1");
    close(fd);
    unlink(path);
    assert_false(notify_send(path, "STOPPING=1"));
    assert_int_equal(errno, ENOENT);
}

static void test_abstract(void **state)
{
    char name[64];

    (void)state;
    snprintf(name, sizeof name, "@test_notify.%ld", (long)getpid());
    int fd = listen_at(name);
    assert_true(notify_send(name, "RELOADING=1"));
    assert_receives(fd, "RELOADING=1");
    close(fd);
}

static void test_nobody(void **state)
{
    char name[200];

    (void)state;
    assert_true(notify_send(NULL, "READY=1"));
    assert_true(notify_send("", "READY=1"));
    assert_false(notify_send("relative", "READY=1"));
    memset(name, 'a', sizeof name - 1);
    name[0] = '/';
    name[sizeof name - 1] = '\0';
    assert_false(notify_send(name, "READY=1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_path),
        cmocka_unit_test(test_abstract),
        cmocka_unit_test(test_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
