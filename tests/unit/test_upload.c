/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Receiving a file: limits, first bytes, hash, and that nothing stays behind. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

#include "shard/base/hex.h"

#include "server/upload.h"

#include "tests/unit/cmocka_all.h"
#include "tests/unit/scratch.h"

#define HEAD                                                                             \
    "\0\0\0\x18"                                                                         \
    "ftypisom\0\0\2\0isommp41"
#define HEAD_LEN (sizeof(HEAD) - 1)

struct fixture {
    struct scratch scratch;
    struct uploads *uploads;
};

static int setup(void **state)
{
    static struct fixture fixture;
    scratch_make(&fixture.scratch);
    fixture.uploads = uploads_new(fixture.scratch.path);
    *state = &fixture;
    return fixture.uploads == NULL;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    uploads_free(&fixture->uploads);
    scratch_remove(&fixture->scratch);
    return 0;
}

static void test_receives(void **state)
{
    struct fixture *fixture = *state;
    struct upload *upload = NULL;
    char sha256[2 * UPLOAD_SHA256_BYTES + 1];
    char back[HEAD_LEN + 3];
    assert_int_equal(upload_new(fixture->uploads, 1000, 2, &upload), UPLOAD_OK);
    assert_int_equal(uploads_running(fixture->uploads), 1);
    for (size_t i = 0; i < HEAD_LEN; i++) {
        assert_int_equal(upload_write(upload, &HEAD[i], 1), UPLOAD_OK);
    }
    assert_int_equal(upload_write(upload, "abc", 3), UPLOAD_OK);
    assert_int_equal(upload_finish(upload), UPLOAD_OK);
    assert_int_equal(upload_size_bytes(upload), HEAD_LEN + 3);
    hex_encode(upload_sha256(upload), UPLOAD_SHA256_BYTES, sha256);
    /* printf '\0\0\0\x18ftypisom\0\0\x2\0isommp41abc' | sha256sum */
    assert_string_equal(
        sha256, "67dab53c96021d6b285c99b8810fde74dd6c5a09883a1b2ecc83c15ddcedf820");
    assert_int_equal(pread(upload_file(upload)->fd, back, sizeof back, 0), sizeof back);
    assert_memory_equal(back, HEAD "abc", sizeof back);
    /* nothing to find for others, and nothing to clean up after a crash */
    assert_int_equal(scratch_count_files(&fixture->scratch), 0);
    upload_free(&upload);
    assert_null(upload);
    assert_int_equal(uploads_running(fixture->uploads), 0);
}

static void test_limit(void **state)
{
    struct fixture *fixture = *state;
    struct upload *upload = NULL;
    assert_int_equal(upload_new(fixture->uploads, HEAD_LEN, 2, &upload), UPLOAD_OK);
    assert_int_equal(upload_write(upload, HEAD, HEAD_LEN), UPLOAD_OK);
    assert_int_equal(upload_write(upload, "", 0), UPLOAD_OK);
    assert_int_equal(upload_write(upload, "x", 1), UPLOAD_TOO_LARGE);
    upload_free(&upload);
}

static void test_first_bytes(void **state)
{
    struct fixture *fixture = *state;
    struct upload *upload = NULL;
    assert_int_equal(upload_new(fixture->uploads, 1000, 2, &upload), UPLOAD_OK);
    assert_int_equal(upload_write(upload, "#EXTM3U", 7), UPLOAD_OK);
    assert_int_equal(upload_write(upload, "\n#EXT-X-VERSION:3\n", 18), UPLOAD_NOT_VIDEO);
    upload_free(&upload);

    assert_int_equal(upload_new(fixture->uploads, 1000, 2, &upload), UPLOAD_OK);
    assert_int_equal(upload_finish(upload), UPLOAD_EMPTY);
    upload_free(&upload);

    assert_int_equal(upload_new(fixture->uploads, 1000, 2, &upload), UPLOAD_OK);
    assert_int_equal(upload_write(upload, HEAD, 8), UPLOAD_OK);
    assert_int_equal(upload_finish(upload), UPLOAD_NOT_VIDEO);
    upload_free(&upload);
}

static void test_at_once(void **state)
{
    struct fixture *fixture = *state;
    struct upload *uploads[3] = {NULL};
    assert_int_equal(upload_new(fixture->uploads, 10, 2, &uploads[0]), UPLOAD_OK);
    assert_int_equal(upload_new(fixture->uploads, 10, 2, &uploads[1]), UPLOAD_OK);
    assert_int_equal(upload_new(fixture->uploads, 10, 2, &uploads[2]), UPLOAD_BUSY);
    assert_null(uploads[2]);
    upload_free(&uploads[0]);
    assert_int_equal(upload_new(fixture->uploads, 10, 2, &uploads[2]), UPLOAD_OK);
    upload_free(&uploads[1]);
    upload_free(&uploads[2]);
    assert_int_equal(uploads_running(fixture->uploads), 0);
}

/* A full disk is told apart: /dev/full refuses every byte. */
static void test_disk_full(void **state)
{
    struct fixture *fixture = *state;
    struct upload *upload = NULL;
    assert_int_equal(upload_new(fixture->uploads, 1000, 2, &upload), UPLOAD_OK);
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    assert_true(full >= 0);
    assert_int_equal(dup2(full, upload_file(upload)->fd), upload_file(upload)->fd);
    (void)close(full);
    assert_int_equal(upload_write(upload, HEAD, HEAD_LEN), UPLOAD_DISK_FULL);
    upload_free(&upload);
}

/* Where files need names: a start removes those of the dead and leaves the living. */
static void test_sweep(void **state)
{
    struct fixture *fixture = *state;
    int dir_fd = open(fixture->scratch.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int dead = openat(dir_fd, ".tmp-dead", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    int alive = openat(dir_fd, ".tmp-alive", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    int other = openat(dir_fd, "keep", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    assert_true(dead >= 0 && alive >= 0 && other >= 0);
    assert_int_equal(flock(alive, LOCK_EX), 0);
    struct uploads *second = uploads_new(fixture->scratch.path);
    assert_non_null(second);
    uploads_free(&second);
    assert_int_equal(faccessat(dir_fd, ".tmp-dead", F_OK, 0), -1);
    assert_int_equal(faccessat(dir_fd, ".tmp-alive", F_OK, 0), 0);
    assert_int_equal(faccessat(dir_fd, "keep", F_OK, 0), 0);
    (void)close(dead);
    (void)close(alive);
    (void)close(other);
    (void)close(dir_fd);
}

static void test_bad_directory(void **state)
{
    (void)state;
    assert_null(uploads_new("/proc/doushard"));
    assert_null(uploads_new("/dev/null"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_receives, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_first_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_disk_full, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sweep, setup, teardown),
        cmocka_unit_test(test_bad_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
