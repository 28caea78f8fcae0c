/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Which files are read as a whole, and that writing goes on until everything is
 * written. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shard/base/file.h"

#include "tests/unit/cmocka_all.h"
#include "tests/unit/scratch.h"

#define MAX_BYTES 8

struct fixture {
    struct scratch dir;
    char path[SCRATCH_PATH_MAX + 8];
};

static int setup(void **state)
{
    struct fixture *fix = calloc(1, sizeof *fix);

    if (fix == NULL) {
        return -1;
    }
    scratch_make(&fix->dir);
    (void)snprintf(fix->path, sizeof fix->path, "%s/file", fix->dir.path);
    *state = fix;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fix = *state;

    scratch_remove(&fix->dir);
    free(fix);
    return 0;
}

static void make_file(const struct fixture *fix, const char *text, mode_t mode)
{
    int fd = open(fix->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(file_write(fd, text, strlen(text)), 0);
    assert_int_equal(fchmod(fd, mode), 0);
    assert_int_equal(close(fd), 0);
}

/* "" if PATH can be read, which then must hold EXPECTED; otherwise the error. Static
 * storage. */
static const char *read_as(const char *path, enum file_care care, const char *expected)
{
    static struct errmsg err;
    struct file_text text;

    err.text[0] = '\0';
    if (file_read(path, care, MAX_BYTES, &text, &err)) {
        assert_int_equal(text.len, strlen(expected));
        assert_string_equal(text.data, expected);
        file_text_release(&text);
    }
    assert_null(text.data);
    return err.text;
}

static void test_length(void **state)
{
    struct fixture *fix = *state;

    make_file(fix, "", 0644);
    assert_string_equal(read_as(fix->path, FILE_ANY, ""), "");
    make_file(fix, "12345678", 0644);
    assert_string_equal(read_as(fix->path, FILE_ANY, "12345678"), "");
    make_file(fix, "123456789", 0644);
    assert_string_equal(read_as(fix->path, FILE_ANY, ""), "is larger than 8 bytes");
}

static void test_others(void **state)
{
    struct fixture *fix = *state;

    assert_string_equal(read_as(fix->path, FILE_ANY, ""),
                        "cannot be opened: No such file or directory");
    assert_string_equal(read_as(fix->dir.path, FILE_ANY, ""), "is not a regular file");
    assert_string_equal(read_as("/dev/null", FILE_ANY, ""), "is not a regular file");
    assert_int_equal(mkfifo(fix->path, 0600), 0);
    assert_string_equal(read_as(fix->path, FILE_SECRET, ""), "is not a regular file");
    /* Its size is given as 0, but it has contents. */
    assert_string_equal(read_as("/proc/self/statm", FILE_ANY, ""),
                        "is larger than 8 bytes");
}

static void test_secret(void **state)
{
    static const mode_t open_modes[] = {0604, 0640, 0660, 0602, 0444};
    struct fixture *fix = *state;

    for (size_t i = 0; i < ARRAY_LEN(open_modes); i++) {
        make_file(fix, "secret", open_modes[i]);
        assert_string_equal(read_as(fix->path, FILE_ANY, "secret"), "");
        assert_non_null(strstr(read_as(fix->path, FILE_SECRET, ""), "others may read"));
    }
    make_file(fix, "secret", 0400);
    assert_string_equal(read_as(fix->path, FILE_SECRET, "secret"), "");
    if (geteuid() == 0) {
        make_file(fix, "secret", 0440); /* as systemd makes them */
        assert_int_equal(chown(fix->path, 0, 0), 0);
        assert_string_equal(read_as(fix->path, FILE_SECRET, "secret"), "");
        assert_int_equal(chown(fix->path, 0, 1), 0);
        assert_non_null(strstr(read_as(fix->path, FILE_SECRET, ""), "others may read"));
        assert_int_equal(chmod(fix->path, 0600), 0);
        assert_int_equal(chown(fix->path, 1, 1), 0);
        assert_non_null(strstr(read_as(fix->path, FILE_SECRET, ""), "belongs to user 1"));
    }
}

/* Reads the descriptor in CONTEXT to its end; returns the number of bytes. */
static void *drain_main(void *context)
{
    static size_t n;
    const int *fd = context;
    char chunk[512];
    ssize_t got = 0;

    n = 0;
    do {
        n += (size_t)got;
        got = read(*fd, chunk, sizeof chunk);
    } while (got > 0);
    return &n;
}

/* A non-blocking pipe that takes less than there is to write. */
static void test_write(void **state)
{
    enum { BYTES = 1 << 20 };
    int ends[2];
    pthread_t reader;
    void *n = NULL;
    char *data = calloc(1, BYTES);

    (void)state;
    assert_non_null(data);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(pthread_create(&reader, NULL, drain_main, &ends[0]), 0);
    assert_int_equal(file_write(ends[1], data, BYTES), 0);
    assert_int_equal(close(ends[1]), 0);
    assert_int_equal(pthread_join(reader, &n), 0);
    assert_int_equal(*(size_t *)n, BYTES);
    assert_int_equal(file_write(ends[0], data, 1), EBADF);
    assert_int_equal(close(ends[0]), 0);
    free(data);
}

int main(void)
{
#define FRESH(test) cmocka_unit_test_setup_teardown((test), setup, teardown)
    const struct CMUnitTest tests[] = {
        FRESH(test_length),
        FRESH(test_others),
        FRESH(test_secret),
        cmocka_unit_test(test_write),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
